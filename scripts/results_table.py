"""Write the README's table of results from the committed studies: `.venv/bin/python scripts/results_table.py`."""

import json
import re
from pathlib import Path
from typing import Any

from bench.study.preset import PROTOCOL

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- results -->\n", "<!-- end of the table -->\n"
STUDIES = {  # folder in reports/ -> how it is called
    "nb201-cifar10": "NAS-Bench-201, CIFAR-10 (JPEG)",
    "nb201-cifar10-8000": "the same, fewer passes",
    "nb201-cifar10-variants": "fewer still",
    "nb201-cifar10-variants-2000": "the fewest",
    "digits201-variants": "digits201",
    "digits201-variants-2000": "the same, half of the budget",
    "digits201": "digits201, default run",
}
OURS, *BASELINES = METHODS = ("MNGNAS", "SPOS", "FairNAS")
HEAD = (
    *("study", "passes", "seeds", "architectures", *METHODS, *(f"{OURS} − {one}" for one in BASELINES)),
    *("parameter count", "one seed of the table against the others"),
)


def table() -> str:
    """The whole table as Markdown: a study a line."""
    lines = [HEAD, ("---",) * len(HEAD), *(line(study) for study in STUDIES)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def line(study: str) -> tuple[str, ...]:
    """Tau-b with its interval over seeds; of what has none, over architectures."""
    folder = ROOT / "reports" / study
    results = json.loads((folder / "report" / "results.json").read_text(encoding="utf-8"))
    protocol = json.loads((folder / "study.json").read_text(encoding="utf-8"))["protocol"]
    older = "" if protocol == PROTOCOL else f", protocol {protocol}"
    rows = {row["label"]: row for row in results["rankings"]["rows"] if row["scores"] == "inherited"}
    (passes,) = (one["passes"]["spread"] for one in results["costs"]["rows"] if one["label"] == "SPOS")
    pairs = {frozenset((one["a"], one["b"])): one for one in results["differences"]["pairs"]}
    references = {row["name"]: row["estimates"]["kendall_tau_b"] for row in results["references"]["rows"]}
    taus = [rows[method]["metrics"]["kendall_tau_b"] for method in METHODS]
    spreads = [tau["spread"] for tau in taus]
    return (
        f"[{STUDIES[study]}](reports/{study}/report/report.md){older}",
        f"{passes['mean']:,.0f}",
        str(len(rows[OURS]["seeds"])),
        f"{taus[0]['architectures']['n']:,}",
        *(cell(one["mean"], one["ci_low"], one["ci_high"]) for one in spreads),
        *(difference(pairs[frozenset((OURS, one))]) for one in BASELINES),
        *(
            cell(one["value"], one["ci_low"], one["ci_high"])
            for one in (references["parameters"], references["ceiling"])
        ),
    )


def difference(pair: dict[str, Any]) -> str:
    """What ours is ahead of the other, on the same seeds."""
    one = pair["by_score"]["difference"]
    if pair["a"] == OURS:
        return cell(one["value"], one["ci_low"], one["ci_high"])
    return cell(-one["value"], -one["ci_high"], -one["ci_low"])


def cell(value: float, low: float, high: float) -> str:
    """A number and both ends of its interval."""
    return f"{number(value)} [{number(low)}, {number(high)}]"


def number(value: float) -> str:
    """Three digits, no zero before the point, a true minus sign."""
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:z.3f}").replace("-", "−")


def page() -> str:
    """The README with the table of today."""
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    README.write_text(page(), encoding="utf-8")
