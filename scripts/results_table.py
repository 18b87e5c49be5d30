"""Write the README's table of results from the committed studies: `.venv/bin/python scripts/results_table.py`."""

import json
import re
from pathlib import Path
from typing import Any

from bench.study.preset import PROTOCOL

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- results -->\n", "<!-- end of the table -->\n"
STUDIES = {  # folder in reports/ -> how it is called, and which variants are shown besides the unchanged methods
    "nb201-cifar10": ("NAS-Bench-201, CIFAR-10 (JPEG)", ()),
    "digits201-variants": ("digits201", ()),
    "digits201": ("digits201, default run", ()),
}
HEAD = ("study", "predictor", "Kendall tau-b", "95 % over seeds", "95 % over architectures", "seeds", "architectures")


def table() -> str:
    """The whole table as Markdown."""
    lines = [(*HEAD, "budget a seed"), ("---",) * (len(HEAD) + 1)]
    for study, (name, variants) in STUDIES.items():
        results = json.loads((ROOT / "reports" / study / "report" / "results.json").read_text(encoding="utf-8"))
        protocol = json.loads((ROOT / "reports" / study / "study.json").read_text(encoding="utf-8"))["protocol"]
        older = "" if protocol == PROTOCOL else f", protocol {protocol}"
        link = f"[{name}](reports/{study}/report/report.md){older}"
        passes = {(row["label"], row["scores"]): row["passes"]["spread"]["mean"] for row in results["costs"]["rows"]}
        for row in results["rankings"]["rows"]:
            changes = re.search(r"\[(.*)\]", row["label"])
            if row["scores"] == "inherited" and (not changes or changes[1] in variants):
                budget = f"{passes[row['label'], row['scores']]:,.0f} passes"
                lines.append((link, *method_cells(row), budget))
        for row in results["references"]["rows"]:
            tau = row["estimates"]["kendall_tau_b"]
            if row["name"] != "flops" and tau["value"] is not None:
                lines.append((link, row["label"], number(tau["value"]), "", interval(tau), "", f"{tau['n']:,}", ""))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def method_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Label, tau-b and its two intervals, and what they are over."""
    tau = row["metrics"]["kendall_tau_b"]
    spread, n = tau["spread"], tau["architectures"]["n"]
    cells = (row["label"], number(spread["mean"]), interval(spread), interval(tau["architectures"]))
    return *cells, str(len(row["seeds"])), f"{n:,}"


def interval(one: dict[str, Any]) -> str:
    """Both ends."""
    return f"{number(one['ci_low'])} to {number(one['ci_high'])}"


def number(value: float) -> str:
    """Three digits, no zero before the point, a true minus sign."""
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.3f}").replace("-", "−")


def page() -> str:
    """The README with the table of today."""
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    README.write_text(page(), encoding="utf-8")
