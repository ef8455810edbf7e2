"""Writes the records of a synthetic fleet, with planted inversions and near misses.

    synthetic.py FOLDER [RECORDS [SERVICES]]

Prints what must be found, one line each: the kind, and the classes.
"""

import json
import random
import sys
from pathlib import Path

HOSTS = 40


class Process:
    """The record of one process of a service."""

    def __init__(self, number, service):
        self.number, self.service = number, service
        self.locks, self.lines = {}, []
        header = {
            "schema": 1,
            "lockdep": "0.1.0",
            "id": f"{(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}",
            "process": number,
            "program": service,
            "started": 1_700_000_000_000 + number,
            "executable": f"/bin/{service}",
            "service": service,
            "host": f"host-{number % HOSTS}",
        }
        self.lines.append({"header": header})

    def lock(self, name, lease):
        """Returns the id of a lock. A name with a space is a resource."""
        if name not in self.locks:
            self.locks[name] = len(self.locks) + 1
            lock = {"id": self.locks[name], "name": name, "type": "Resource"}
            if " " in name:
                lock |= {"class": name.rstrip("0123456789") + "{}", "key": name}
            else:
                lock |= {"type": "Mutex<()>", "class": f"Mutex<()> made at src/{name}.rs:1:1"}
            if lease:
                lock["lease"] = lease
            self.lines.append({"lock": lock})
        return self.locks[name]

    def nest(self, held, wanted, mode="exclusive", gates=(), lease=None, may_have_more_gates=False):
        line = len(self.lines)
        ids = [self.lock(name, lease) for name in (held, wanted, *gates)]
        edge = {
            "held": ids[0],
            "held_mode": mode,
            "held_at": f"src/{self.service}.rs:{line}:9",
            "wanted": ids[1],
            "wanted_mode": mode,
            "acquired_at": f"src/{self.service}.rs:{line}:20",
            "thread": "worker",
        }
        if gates:
            edge["gates"] = ids[2:]
        if may_have_more_gates:
            edge["may_have_more_gates"] = True
        self.lines.append({"edge": edge})

    def write(self, folder):
        folder = folder / self.service
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in self.lines)
        (folder / f"{self.service}-{self.number}.jsonl").write_text(text)


def strangers(processes, rng):
    """Returns processes in random order, of which no three neighbours have a service in common."""
    last = []
    for process in rng.sample(processes, len(processes)):
        if process.service not in last:
            last = [*last[-1:], process.service]
            yield process


def plant(expected, chosen):
    """Plants each case in other processes, with classes that nothing else has."""
    number = 0

    def case(kind, orders, classes):
        nonlocal number
        number += 1
        names = {name: f"planted {name}{number}:" for name in classes}
        if kind:
            expected.append((kind, *sorted(names[name] + "{}" for name in classes)))
        for at, (held, wanted, extra) in enumerate(orders):
            key = lambda name: names[name[0]] + (name[1:] or "7")
            extra = dict(extra)
            same = extra.pop("same_process", False)
            if not (same and at):
                process = next(chosen)
            gates = [f"planted {gate}{number}:1" if gate == "gate" else gate for gate in extra.pop("gates", ())]
            process.nest(key(held), key(wanted), gates=gates, **extra)

    for _ in range(20):
        case("inversion", [("a", "b", {}), ("b", "a", {})], "ab")
        case("leased_inversion", [("a", "b", {"lease": 30_000}), ("b", "a", {})], "ab")
        case("class_inversion", [("a", "b", {}), ("b8", "a8", {})], "ab")
        case("class_inversion", [("a", "b", {"may_have_more_gates": True}), ("b", "a", {})], "ab")
        case("inversion", [("a", "b", {}), ("b", "c", {}), ("c", "a", {})], "abc")
        case("class_inversion", [("a", "b", {}), ("b8", "c", {}), ("c", "a", {})], "abc")
        case("inversion", [("a", "b", {"gates": ["state"]}), ("b", "a", {"gates": ["state"]})], "ab")
        # Near misses.
        case(None, [("a", "b", {}), ("a", "b", {})], "ab")
        case(None, [("a", "b", {"mode": "shared"}), ("b", "a", {"mode": "shared"})], "ab")
        case(None, [("a", "b", {"gates": ["gate"]}), ("b", "a", {"gates": ["gate"]})], "ab")
        case(None, [("a", "b", {"gates": ["gate"]}), ("b", "a", {"may_have_more_gates": True})], "ab")
        case(None, [("a", "b", {}), ("b", "a", {"same_process": True})], "ab")
        case(None, [("a", "b", {}), ("b", "c", {}), ("a", "c", {})], "abc")


def main():
    folder = Path(sys.argv[1])
    records = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    services = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    if records < 1000 or services < 3:
        sys.exit("synthetic.py: at least 1,000 records of 3 services have room for all cases")
    rng = random.Random(7)
    processes = [Process(number, f"service-{number % services}") for number in range(records)]
    for process in processes:
        # What all processes of a service do, in one order over the whole fleet.
        tables = random.Random(process.service).sample(range(3 * services), 4)
        rows = [f"pg table-{table}:{rng.randrange(10)}" for table in sorted(tables)]
        for held, wanted in zip(rows, rows[1:]):
            process.nest(held, wanted)
    expected = []
    plant(expected, strangers(processes, rng))
    for process in processes:
        process.write(folder)
    for finding in sorted(expected):
        print(" ".join(finding[:1]), " | ".join(finding[1:]), sep=": ")


if __name__ == "__main__":
    main()
