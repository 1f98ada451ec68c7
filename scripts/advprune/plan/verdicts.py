"""The jobs that attack, measure, count and show: their specifications. Without torch."""

from collections.abc import Sequence
from typing import Any

from advprune.plan import external, specs
from advprune.plan.config import fraction, split_size
from advprune.plan.grid import Model
from advprune.plan.paths import Layout
from advprune.plan.protocol import Protocol

# families of common corruptions: noise is one job, blur another
CORRUPTIONS = ("noise", "blur", "weather", "digital")
# images of the sample on which the indicators of attack failure are counted, steps of their attacks
RELIABILITY = {"images": 100, "steps": 100}
# the check of both epochs: PGD-20 with steps of a quarter of the radius
PGD_STEPS, PGD_STEP = 20, 0.25


class Verdicts:
    """What is asked of a protocol's models once they are trained."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.config = protocol.config
        self.evaluation = protocol.config["evaluation"]
        precision = self.evaluation.get("search_precision", "fp32")
        self._searches = {"precision": precision}
        self._kept = {"keep": self.evaluation.get("keep_adversarials", False)}

    def eps(self, dataset: str) -> float:
        """Radius of the threat on a dataset, in [0, 1] pixel units."""
        return fraction(self.config["datasets"][dataset]["eps"])

    def _arch(self, model: Model) -> str:
        return self.protocol.arch(model.arch)

    def shards(self, dataset: str, attack: str) -> int:
        """Number of shards of the test images for an attack."""
        size: int = self.evaluation[attack]["shard"]
        return -(-split_size(self.config, dataset, "test") // size)

    def autoattack(self, model: Model, shard: int = 0) -> specs.AutoattackSpec:
        """AutoAttack on a shard of the test images."""
        chosen = self.evaluation["autoattack"]
        return specs.AutoattackSpec(
            arch=self._arch(model),
            seed=model.seed,
            eps=self.eps(model.dataset),
            version=chosen.get("version", "standard"),
            shard_size=chosen["shard"],
            batch=chosen["batch"],
            shard=shard,
            **self._searches | self._kept,
        )

    def hofmn_tune(self, model: Model) -> specs.HofmnTuneSpec:
        """The tuning of FMN for a net."""
        chosen = self.evaluation["hofmn"]
        return specs.HofmnTuneSpec(
            arch=self._arch(model),
            seed=model.seed,
            eps=self.eps(model.dataset),
            images=chosen["tune_images"],
            trials=chosen["trials"],
            steps=chosen["tune_steps"],
            batch=chosen["batch"],
            **self._searches,
        )

    def hofmn(self, model: Model, shard: int = 0) -> specs.HofmnSpec:
        """The tuned FMN on a shard of the test images."""
        chosen = self.evaluation["hofmn"]
        sizes = (chosen["shard"], chosen["steps"], chosen["batch"])
        asked = self._searches | self._kept
        return specs.HofmnSpec(self._arch(model), *sizes, shard=shard, **asked)

    def kept(self, path: str) -> list[str]:
        """A file of adversarial images as output, none where they are not asked for."""
        return [path] if self._kept["keep"] else []

    def pgd(self, model: Model) -> specs.PgdSpec:
        """What PGD leaves of a model's best and of its last epoch."""
        eps, batch = self.eps(model.dataset), self.evaluation["autoattack"]["batch"]
        steps = (PGD_STEP * eps, PGD_STEPS)
        return specs.PgdSpec(self._arch(model), model.seed, eps, *steps, batch)

    def reliability(self, model: Model) -> specs.ReliabilitySpec:
        """The search for failed attacks, with the settings that the verdicts were made with."""
        attack = self.autoattack(model)
        return specs.ReliabilitySpec(
            arch=self._arch(model),
            seed=model.seed,
            eps=attack.eps,
            batch=attack.batch,
            version=attack.version,
            fmn_steps=self.evaluation["hofmn"]["steps"],
            **RELIABILITY | self.evaluation.get("reliability", {}),
        )

    def other_attacks(self, model: Model) -> specs.OtherAttacksSpec:
        """Attacks of other libraries."""
        return specs.OtherAttacksSpec(
            arch=self._arch(model),
            row=self.protocol.row(model),
            eps=self.eps(model.dataset),
            **self.evaluation["other_attacks"],
        )

    def corrupt(self, dataset: str, family: str) -> specs.CorruptSpec:
        """The corruption of the first test images."""
        return specs.CorruptSpec(self._corrupted(dataset), family)

    def corruptions(self, model: Model) -> specs.CorruptionsSpec:
        """Accuracy on them."""
        images = self._corrupted(model.dataset)
        batch = self.evaluation["autoattack"]["batch"]
        return specs.CorruptionsSpec(self._arch(model), self.protocol.row(model), images, batch)

    def _corrupted(self, dataset: str) -> int:
        wanted: int = self.evaluation["corruptions"]["images"]
        return min(wanted, split_size(self.config, dataset, "test"))

    def audit(self, model: Model) -> specs.AuditSpec:
        """The recount of a model's sparsity, of a net from elsewhere as its claim was counted."""
        target = (self._arch(model), model.structure, float(model.sparsity))
        if item := self.protocol.released.get(model):
            return specs.AuditSpec(*target, item.counted)
        theirs = model.method in self.protocol.external and model.structure == "filters"
        return specs.AuditSpec(*target, "filters" if theirs else "")

    def costs(self, model: Model) -> specs.CostsSpec:
        """What a model costs."""
        batch = self.evaluation["autoattack"]["batch"]
        return specs.CostsSpec(self._arch(model), self.protocol.row(model), batch)

    def evaluate(self, model: Model) -> specs.EvaluateSpec:
        """The count of a model's verdicts."""
        net = self.protocol.net(model.dataset, model.arch)
        return specs.EvaluateSpec(
            row=self.protocol.row(model),
            eps=self.eps(model.dataset),
            eps_text=self.config["datasets"][model.dataset]["eps"],
            classes=self.protocol.classes(model.dataset),
            autoattack=self.autoattack(model),
            hofmn_tune=self.hofmn_tune(model),
            hofmn=self.hofmn(model),
            width=net.width,
            budget=self.protocol.epochs(model),
            final_pool=net.final_pool,
            hidden=net.hidden,
            claims=external.claims(self.protocol.external.get(model.method, {})),
        )

    def unavailable(self, model: Model) -> specs.UnavailableSpec:
        """The row of a released net that cannot be had."""
        images = split_size(self.config, model.dataset, "test")
        eps = (self.eps(model.dataset), self.config["datasets"][model.dataset]["eps"])
        return specs.UnavailableSpec(self.protocol.row(model), *eps, images)

    def pruned_here(self) -> list[Model]:
        """Models with a dense net beside them; what a net from elsewhere was before is unknown."""
        trained = [m for m in self.protocol.models if m.method in self.protocol.methods]
        return [m for m in trained if m.structure != "none" and self.protocol.grid.dense(m)]

    def thin_ice(self, models: Sequence[Model], paths: Layout) -> specs.ThinIceSpec:
        """Models of one target beside the dense nets of their seeds."""
        first, protocol = models[0], self.protocol
        start = protocol.pretrain_name(first.dataset, first.arch, "dense")

        def folder(model: Any) -> str:
            return paths.model.format(**model.wildcards)

        return specs.ThinIceSpec(
            eps=self.eps(first.dataset),
            shards=self.shards(first.dataset, "hofmn"),
            dense={str(m.seed): folder(protocol.grid.dense(m)) for m in models},
            models=[
                specs.Pruned(
                    protocol.row(m),
                    folder(m),
                    protocol.pretrain_name(m.dataset, m.arch, m.method) == start,
                )
                for m in models
            ],
        )
