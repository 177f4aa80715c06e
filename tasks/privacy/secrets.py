"""Secrets in texts that no public rule has: tokens whose rules are narrower than what issuers hand
out, and what stands after a name such as `password`, in a header, an address or a command.

Every expression is linear: its quantifiers are bounded, or nothing after them can fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tasks.privacy.finder import Accept, Finder, Span, pattern
from tasks.privacy.names import CONFIDENTIAL, looks_secret
from tasks.privacy.public_rules import find_by_public_rules, has_long_run, public_sieve
from tasks.privacy.sieve import LONG_RUN, NAMED

__all__ = ["PRIVATE_KEYS", "SECRETS"]

#: what stands where a secret would stand in documentation
_PLACEHOLDER = re.compile(
    r"[<${*%\[]|x{4,}|\.{3}|your|none\b|null\b|true\b|false\b|undefined\b|required\b", re.IGNORECASE
)


def _has_digit_and_letter(match: re.Match[str]) -> bool:
    token = match.group()
    return any(c.isdigit() for c in token) and any(c.isalpha() for c in token)


def _group_has_digit(match: re.Match[str]) -> bool:
    return any(c.isdigit() for c in match[1])


def _is_no_placeholder(match: re.Match[str]) -> bool:
    return _PLACEHOLDER.match(match[1]) is None


# --- after a name ------------------------------------------------------------------------------

_NAME_END = r"(?:\\?[\"'`])?\s{0,3}"
_SIGN = r"(?P<sign>:=|=>|==?|:)\s{0,3}"
_VALUE = (
    r"(?:(?P<quote>\\?[\"'`])(?P<quoted>(?:(?!(?P=quote))[^\n<>]){3,4096})"
    r"|(?P<bare>[^\s\"'\\,;&<>]{4,4096}))"
)
#: of the lower-cased text; every confidential name ends like this
_ASSIGNED_GATE = re.compile(
    rf"(?:pass(?:word|wd|phrase|code)?|pwd|pw|psw|secret|key|token|credentials?|string)"
    rf"{_NAME_END}[=:]"
)
_ASSIGNED = re.compile(rf"(?i)(?:{CONFIDENTIAL}){_NAME_END}{_SIGN}{_VALUE}")
_TOKEN = re.compile(rf"(?i)(?<![A-Za-z<])token{_NAME_END}{_SIGN}{_VALUE}")


def _find_assigned(text: str) -> Iterator[Span]:
    """`password=hunter2`, `"api_key": "…"`; not `password: required` in prose."""
    if _ASSIGNED_GATE.search(text.lower()) is None:
        return
    for match in _ASSIGNED.finditer(text):
        group = "quoted" if match["quote"] else "bare"
        value = match[group]
        certain = match["sign"] != ":" or group == "quoted" or any(c.isdigit() for c in value)
        if certain and not _PLACEHOLDER.match(value):
            yield match.span(group)
    for match in _TOKEN.finditer(text):
        group = "quoted" if match["quote"] else "bare"
        if looks_secret(match[group]) and not _PLACEHOLDER.match(match[group]):
            yield match.span(group)


_ELEMENT = re.compile(rf"(?i)<[\w.:-]{{0,40}}(?:{CONFIDENTIAL})>([^<>\n]{{3,512}})</")
_OPTION = re.compile(
    r"(?i)(?<!\S)--?(?:password|passwd|passphrase|pass|token|secret|api[_-]?key|auth-token)"
    r"[ \t]{1,4}[\"']?(?!-)([^\s\"'<>]{4,256})"
)


def _find_options(text: str) -> Iterator[Span]:
    yield from (m.span(1) for m in _OPTION.finditer(text) if looks_secret(m[1]))


# --- headers, commands, addresses --------------------------------------------------------------

_SCHEMES = (
    r"(?:basic|bearer|token|api-?key|key|digest|negotiate|ntlm|ssws|splunk|genie\w{0,3}|"
    r"aws4-hmac-sha256|sharedkey(?:lite)?|sharedaccesssignature|oauth)"
)
_AUTHORIZATION = re.compile(
    rf"(?i)authorization{_NAME_END}[:=]\s{{0,3}}(?:\\?[\"'])?"
    rf"(?P<scheme>{_SCHEMES}\s{{1,4}})?(?P<value>[^\s\"'\\<>,][^\r\n\"'\\<>]{{3,2047}}+)"
)
_COOKIE = re.compile(
    rf"(?i)(?<![\w])(?:set-)?cookie{_NAME_END}[:=]\s{{0,3}}(?:\\?[\"'])?"
    r"([^\s=;\"'<>\\]{1,128}=[^\s;\"'<>\\]{3,}[^\r\n\"'<>\\]{0,4096}+)"
)


def _find_authorization(text: str) -> Iterator[Span]:
    """All of the header after its scheme; without a scheme only what looks like a secret."""
    for match in _AUTHORIZATION.finditer(text):
        value = match["value"].rstrip()
        if _PLACEHOLDER.match(value):
            continue
        start = match.start("value")
        if match["scheme"]:
            yield start, start + len(value)
        elif looks_secret(value.split()[0]):
            yield start, start + len(value.split()[0])


#: signatures of addresses: AWS, Google, Azure, and what others name so
_SIGNED = re.compile(
    r"(?i)[?&;](?:x-(?:amz|goog)-(?:signature|credential|security-token)|awsaccesskeyid|sig|"
    r"signature|hmac|access_?token|auth_?token|token|api_?key|key|auth|secret|code)"
    r"=([^\s&;#\"'<>\\]{8,2048}+)"
)


def _find_signed(text: str) -> Iterator[Span]:
    yield from (m.span(1) for m in _SIGNED.finditer(text) if looks_secret(m[1]))


_DISCORD = re.compile(
    r"(?<![A-Za-z0-9_-])[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,45}(?![\w-])"
)


def _find_discord_tokens(text: str) -> Iterator[Span]:
    if has_long_run(text):
        yield from (match.span() for match in _DISCORD.finditer(text))


def _token(prefix: str, rest: str, *hints: str, accept: Accept | None = None) -> Finder:
    """A token that begins with `prefix`, not in the middle of a longer word."""
    expression = rf"{prefix}(?<![A-Za-z0-9_-]{prefix}){rest}"
    return pattern("secret", hints or (prefix.replace("\\", ""),), expression, accept=accept)


PRIVATE_KEYS = (
    pattern("secret", ("PRIVATE KEY",),
            r"(?s)-{4,5} ?BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
            r".*?(?:-{4,5} ?END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)? ?-{4,5}|\Z)"),
    pattern("secret", ("PuTTY-User-Key-File",),
            r"(?s)PuTTY-User-Key-File-[0-9].*?(?:Private-(?:MAC|Hash):\s{0,2}[0-9a-fA-F]+|\Z)"),
)  # fmt: skip
#: all others
SECRETS = (
    _token("eyJ", r"[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+)?"),
    _token("sk-", r"[A-Za-z0-9_-]{16,}+", accept=_has_digit_and_letter),
    _token("AKIA", r"[0-9A-Z]{16}(?![0-9A-Za-z])"),
    _token("ASIA", r"[0-9A-Z]{16}(?![0-9A-Za-z])"),
    _token("gh[pousr]_", r"[A-Za-z0-9]{30,}+", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    _token("github_pat_", r"[A-Za-z0-9_]{22,}+"),
    _token("glpat-", r"[A-Za-z0-9_.-]{20,}+"),
    _token("gl(?:rt|dt|ft)-", r"[A-Za-z0-9_.-]{20,}+", "glrt-", "gldt-", "glft-"),
    _token("xox[abcdeoprs]-", r"[A-Za-z0-9%-]{10,}+", "xox"),
    _token("xapp-", r"[A-Za-z0-9-]{20,}+"),
    pattern("secret", ("hooks.slack.com",), r"hooks\.slack\.com/services/[A-Za-z0-9/]{20,}+"),
    pattern("secret", ("/api/webhooks/",), r"/api/webhooks/([0-9]{15,21}/[A-Za-z0-9_-]{40,}+)",
            group=1),
    _token("[rsp]k_(?:live|test)_", r"[A-Za-z0-9]{10,}+", "k_live_", "k_test_"),
    _token("whsec_", r"[A-Za-z0-9+/=]{16,}+"),
    _token("AIza", r"[0-9A-Za-z_-]{30,}+"),
    _token(r"ya29\.", r"[0-9A-Za-z_-]{20,}+"),
    _token("GOCSPX-", r"[0-9A-Za-z_-]{20,}+"),
    _token("1//0", r"[0-9A-Za-z_-]{30,}+"),
    _token("hf_", r"[A-Za-z0-9]{30,}+"),
    _token("api_org_", r"[A-Za-z0-9]{30,}+"),
    _token("npm_", r"[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    _token("pypi-", r"[A-Za-z0-9_-]{40,}+"),
    _token(r"SG\.", r"[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+"),
    _token(r"hv[sbr]\.", r"[A-Za-z0-9_-]{20,}+", "hvs.", "hvb.", "hvr."),
    _token("key-", r"[0-9a-f]{32}(?![0-9A-Za-z])"),
    _token("SK", r"[0-9a-f]{32}(?![0-9A-Za-z])"),
    _token("LTAI", r"[0-9A-Za-z]{16,22}(?![0-9A-Za-z])"),
    _token("tfp_", r"[0-9A-Za-z_-]{40,}+"),
    _token("re_", r"[0-9A-Za-z]{8}_[0-9A-Za-z]{20,}+"),
    _token("NR(?:AK|II|JS|IQ|RA)-", r"[A-Za-z0-9_-]{19,}+", "NRAK-", "NRII-", "NRJS-", "NRIQ-",
           "NRRA-"),
    pattern("secret", ("NRAL",), r"(?<![0-9A-Za-z])[0-9a-f]{32,36}(?:FFFF)?NRAL(?![0-9A-Za-z])"),
    # Telegram: the number of the bot, then 35 signs of which the first are AA
    pattern("secret", (":AA",), r"(?<![\w:])[0-9]{8,10}:AA[0-9A-Za-z_-]{32,34}(?![\w-])"),
    # Discord: the id of the bot in base64, a time, a signature
    Finder("secret", (), _find_discord_tokens, group="run", sieve=LONG_RUN),
    Finder("secret", (), find_by_public_rules, group="public", sieve=public_sieve()),
    pattern("secret", ("bearer", "basic"),
            r"(?i)\b(?:bearer|basic)\s{1,4}([A-Za-z0-9._~+/-]{16,}+={0,2})", group=1,
            accept=_group_has_digit, any_case=True, sieve_group="name",
            sieve="(?i:bearer|basic)[^A-Za-z0-9]"),
    Finder("secret", ("authorization",), _find_authorization, any_case=True, group="name",
           sieve=NAMED),
    pattern("secret", ("cookie",), _COOKIE.pattern, group=1, accept=_is_no_placeholder,
            any_case=True, sieve_group="name", sieve=NAMED),
    pattern("secret", ("curl",),
            r"(?<!\S)(?:-u|--user|--proxy-user|-U)(?:\s{1,4}|=)?[\"']?[^\s:\"']{1,128}:"
            r"([^\s\"'<>]{1,256})", group=1, accept=_is_no_placeholder),
    pattern("secret", ("sshpass",), r"sshpass\s{1,4}-p\s{0,4}[\"']?([^\s\"'<>]{3,256})", group=1,
            accept=_is_no_placeholder),
    pattern("secret", ("docker login",),
            r"docker login[^\n]{0,256}?\s(?:-p|--password)[ =]{0,4}[\"']?([^\s\"'<>]{4,256})",
            group=1, accept=_is_no_placeholder),
    Finder("secret", ("--pass", "--tok", "--sec", "--api", "-pass", "--auth"),
           _find_options, any_case=True),
    Finder("secret", ("sig", "key", "token", "hmac", "auth", "secret", "code="), _find_signed,
           any_case=True, group="name",
           sieve=r"(?i:(?:signature|credential|accesskeyid|sig|hmac|token|code|-token)=)"),
    pattern("secret", ("://",), r"://[^\s:/@]{0,64}+:([^\s/@<>]{1,128}+)@", group=1,
            sieve_group="address"),
    pattern("secret", ("</",), _ELEMENT.pattern, group=1, accept=_is_no_placeholder,
            sieve_group="name", sieve=NAMED),
    Finder("secret", ("pass", "pwd", "pw", "psw", "secret", "key", "token", "cred", "string"),
           _find_assigned, any_case=True, group="name", sieve=NAMED),
)  # fmt: skip
