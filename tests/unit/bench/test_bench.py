import pytest
import torch

from advprune.bench import compact_nets
from advprune.bench.full_size import FullSize, measure
from advprune.bench.pairs import SIZES, Bench, Size
from advprune.bench.profiling import layers, nets, parts, report
from advprune.bench.targets import TARGETS, judge
from advprune.bench.timing import race
from advprune.compact.convert import compact
from advprune.data.prepare import prepare
from advprune.models.names import known_nets
from bench import pairs_of, summary

CPU = torch.device("cpu")


def test_the_sides_run_in_turn_and_the_ratio_is_of_medians():
    order = []

    def side(name, work):
        def run():
            order.append(name)
            return sum(i * i for i in range(work))

        return run

    figures, plain, ours = race(side("plain", 300_000), side("ours", 3_000), 3, CPU)
    assert order == ["plain", "ours"] * 3
    assert plain > ours
    assert figures["ratio"] > 10
    assert sorted(figures["seconds"]["plain"])[1] == figures["median"]["plain"]


@pytest.mark.slow
def test_every_pair_compares_answers():
    tiny = {"train": 130, "attacked": 4, "share": 0.01, "steps": 3, "epoch": 64, "searched": 6}
    size = Size(width=2, repeats=1, **tiny)
    bench = Bench(size, CPU)
    assert bench.NETS == ("dense", "unstructured 0.9", "filters 0.75")
    for name in bench.NETS:
        zeros = sum(int((p == 0).sum()) for p in bench.net(name).parameters())
        assert (zeros > 0) == (name != "dense")
        assert bench.autoattack(name)["flips"] == []
    assert bench.fmn()["steps"] == 3
    assert len(bench.epoch()["loss"]) == len(bench.epoch("bf16")["loss"]) == 2
    low = bench.autoattack_bf16()
    assert low["images"] == 6 and set(low["flips"]) <= set(range(6))


def test_what_should_be_reached_is_measured_and_said():
    benches = [Bench(size, CPU) for size in SIZES["cpu"]]
    assert [bench.size.width for bench in benches] == [16, 64]
    pairs = pairs_of(benches)
    assert set(TARGETS) < set(pairs)
    assert {f"compact {net}, width 64" for net in known_nets()} < set(pairs)


def judged(pair, ratio, flips=(), features=("amx_bf16",)):
    return judge(pair, {"ratio": ratio, "flips": list(flips), "images": 200}, features)["target"]


def test_a_pair_says_what_it_should_reach_and_whether_it_does():
    dense, low = "autoattack dense, width 64", "autoattack bf16, width 64"
    assert judged(dense, 1.5) == "1.5: reached" and judged(dense, 1.49) == "1.5: missed"
    assert judged(dense, 3, flips=[4]) == "1.5: missed"
    assert judged(low, 2.6, flips=[4]) == "2.5 with 0.5% of other verdicts at most: reached"
    assert judged(low, 2.6, flips=[4, 9]).endswith(": missed")
    assert judged(low, 2.6, features=["avx2"]).endswith("of a processor without amx_bf16")
    assert judged("plan", 1) == "none"


@pytest.mark.parametrize("name", compact_nets.NETS)
def test_every_net_is_raced_against_its_compact_copy(name):
    found = compact_nets.measure(name, width=4, repeats=1, device=CPU, size=8)
    assert found["difference"] < 1e-3 and found["ratio"] > 0


def test_the_full_size_measurement_runs_at_a_tiny_one(tmp_path):
    limits = {"train": 32, "val": 4, "test": 6}
    data = prepare("digits", data_root=None, cache=tmp_path, limits=limits)
    size = FullSize(width=2, epochs=2, steps=2, batch=16, attack_batch=4, share=0.01)
    found = measure(*data, size, CPU)
    assert found["epoch"]["images"] == 32 and found["epoch"]["seconds"] > 0
    attacks = [found[f"autoattack {precision}"] for precision in ("fp32", "tf32", "bf16")]
    assert all(f["images"] == 6 and f["robust"] <= f["clean"] <= 6 for f in attacks)
    assert attacks[0]["flips"] == attacks[1]["flips"] == []
    assert [line.endswith("images") for line in summary(found)] == [True] * 4
    assert list(tmp_path.iterdir()) == []


def test_the_profile_counts_what_the_net_computes():
    net = nets(4, 16)["filters 0.75"]
    x = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    small = compact(net, x.shape[1:])
    rows = list(layers(small, x))
    first = rows[1]  # after the mean of the normalisation
    assert first.name == "Conv" and first.weight[1:] == (3, 3, 3)
    flop = 2 * 3 * first.weight[0] * 16 * 16 * 27  # of three images
    assert round(first.ms * first.speed * 1e6) == flop
    assert rows[-1].result == (10,)
    whole, forward, backward = parts(small, x)
    assert 0 < backward < whole and 0 < forward < whole and forward + backward < whole


@pytest.mark.slow
def test_the_profile_reports_every_net():
    lines = list(report(width=2, size=8, batches=(1, 2)))
    assert sum("seconds of AutoAttack" in line for line in lines) == 3
    assert sum(line.startswith("  batch") for line in lines) == 12
