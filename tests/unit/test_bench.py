import torch

from advprune.bench import Bench, Size
from advprune.data.prepare import prepare
from advprune.fullsize import FullSize, measure
from advprune.stopwatch import race

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


def test_every_pair_compares_answers():
    size = Size(width=2, train=130, attacked=4, share=0.01, steps=3, epoch=64, repeats=1)
    bench = Bench(size, CPU)
    assert list(bench.nets) == ["dense", "unstructured 0.9", "filters 0.75"]
    for name, net in bench.nets.items():
        zeros = sum(int((p == 0).sum()) for p in net.parameters())
        assert (zeros > 0) == (name != "dense")
        assert bench.autoattack(name)["flips"] == []
    assert bench.fmn()["steps"] == 3
    assert len(bench.epoch()["loss"]) == 2


def test_the_full_size_measurement_runs_at_a_tiny_one(tmp_path):
    limits = {"train": 32, "val": 4, "test": 6}
    data = prepare("digits", data_root=None, cache=tmp_path, limits=limits)
    size = FullSize(width=2, epochs=2, steps=2, batch=16, attack_batch=4, share=0.01)
    found = measure(data, size, CPU)
    assert found["epoch"]["images"] == 32 and found["epoch"]["seconds"] > 0
    attacks = [found[f"autoattack {precision}"] for precision in ("fp32", "tf32", "bf16")]
    assert all(f["images"] == 6 and f["robust"] <= f["clean"] <= 6 for f in attacks)
    assert attacks[0]["flips"] == attacks[1]["flips"] == []
    assert list(tmp_path.iterdir()) == []
