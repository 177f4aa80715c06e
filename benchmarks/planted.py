"""Secrets made from the formats that their issuers document, to see which are found.

A format is a text in which {A36} stands for 36 drawn signs: A letters and digits, l lower-case
letters and digits, U upper-case ones, h hexadecimal, H the same in capitals, B base64, W base64 for
addresses, D digits, T the 32 signs of base32; {u} for a UUID. Where a secret can only be known by
what stands about it, bars enclose the secret itself.
"""

from __future__ import annotations

import random
import re
import string
import uuid

_SIGNS = {
    "A": string.ascii_letters + string.digits, "l": string.ascii_lowercase + string.digits,
    "U": string.ascii_uppercase + string.digits, "h": "0123456789abcdef", "H": "0123456789ABCDEF",
    "B": string.ascii_letters + string.digits + "+/",
    "W": string.ascii_letters + string.digits + "-_", "D": string.digits,
    "T": string.ascii_uppercase + "234567",
}  # fmt: skip
_DRAWN = re.compile(r"\{([AlUhHBWDT])([0-9]+)\}|\{u\}")

#: known by themselves
TOKENS = {
    "OpenAI project key": "sk-proj-{W74}T3BlbkFJ{W74}", "OpenAI key": "sk-{A20}T3BlbkFJ{A20}",
    "OpenAI service account key": "sk-svcacct-{W58}T3BlbkFJ{W58}",
    "Anthropic API key": "sk-ant-api03-{W93}AA",
    "Anthropic admin key": "sk-ant-admin01-{W93}AA", "OpenRouter key": "sk-or-v1-{h64}",
    "DeepSeek key": "sk-{h32}", "Groq key": "gsk_{A52}", "xAI key": "xai-{A80}",
    "Perplexity key": "pplx-{A48}", "Replicate token": "r8_{A37}",
    "LangSmith personal token": "lsv2_pt_{h32}_{h10}",
    "LangSmith service key": "lsv2_sk_{h32}_{h10}", "Langfuse secret key": "sk-lf-{u}",
    "Hugging Face token": "hf_{A34}", "NVIDIA API key": "nvapi-{W64}",
    "Pinecone key": "pcsk_{A6}_{A63}", "Cerebras key": "csk-{l48}", "LlamaCloud key": "llx-{A48}",
    "AWS access key": "AKIA{T16}", "AWS temporary access key": "ASIA{T16}",
    "Amazon Bedrock API key": "ABSK{B131}=",
    "Azure AD client secret": "{A3}8Q~{W31}", "Google API key": "AIza{W35}",
    "Google OAuth client secret": "GOCSPX-{W28}", "Google OAuth access token": "ya29.a0{W120}",
    "Google OAuth refresh token": "1//0g{W60}", "GitHub personal token": "ghp_{A36}",
    "GitHub OAuth token": "gho_{A36}", "GitHub user token": "ghu_{A36}",
    "GitHub server token": "ghs_{A36}", "GitHub refresh token": "ghr_{A36}",
    "GitHub fine-grained token": "github_pat_{A22}_{A59}", "GitLab personal token": "glpat-{W20}",
    "GitLab runner token": "glrt-{W20}", "GitLab runner registration token": "GR1348941{W20}",
    "GitLab deploy token": "gldt-{W20}", "GitLab trigger token": "glptt-{h40}",
    "GitLab feed token": "glft-{W20}", "GitLab CI job token": "glcbt-{h2}_{W20}",
    "GitLab OAuth secret": "gloas-{h64}", "Slack bot token": "xoxb-{D12}-{D13}-{A24}",
    "Slack user token": "xoxp-{D12}-{D12}-{D13}-{h32}",
    "Slack app token": "xapp-1-A{U10}-{D13}-{h64}",
    "Slack webhook": "https://hooks.slack.com/services/|T{U10}/B{U10}/{A24}|",
    "Slack configuration token": "xoxe.xoxp-1-{U166}", "Stripe secret key": "sk_live_{A24}",
    "Stripe restricted key": "rk_live_{A24}", "Stripe webhook secret": "whsec_{A32}",
    "Square access token": "sq0atp-{W22}", "Databricks token": "dapi{h32}",
    "Vault service token": "hvs.{W95}", "Vault batch token": "hvb.{W140}",
    "DigitalOcean token": "dop_v1_{h64}", "DigitalOcean OAuth token": "doo_v1_{h64}",
    "DigitalOcean refresh token": "dor_v1_{h64}", "Docker Hub token": "dckr_pat_{W27}",
    "Docker Hub organization token": "dckr_oat_{W32}", "Shopify access token": "shpat_{h32}",
    "Shopify custom app token": "shpca_{h32}", "Shopify private app token": "shppa_{h32}",
    "Shopify shared secret": "shpss_{h32}", "New Relic user key": "NRAK-{U27}",
    "New Relic insert key": "NRII-{W32}", "New Relic licence key": "{h36}NRAL",
    "Grafana service account token": "glsa_{A32}_{h8}", "Grafana Cloud token": "glc_{B80}",
    "Telegram bot token": "{D10}:AA{W33}", "Discord bot token": "MT{A24}.{W6}.{W38}",
    "Discord webhook": "https://discord.com/api/webhooks/|{D19}/{W68}|",
    "Twilio API key": "SK{h32}", "Mailgun key": "key-{h32}", "SendGrid key": "SG.{W22}.{W43}",
    "Brevo key": "xkeysib-{h64}-{A16}", "MailerSend token": "mlsn.{h64}",
    "npm token": "npm_{A36}", "PyPI token": "pypi-AgEIcHlwaS5vcmc{W150}",
    "RubyGems key": "rubygems_{h48}", "Clojars token": "CLOJARS_{h60}",
    "Terraform Cloud token": "{A14}.atlasv1.{W67}", "Pulumi token": "pul-{h40}",
    "Postman key": "PMAK-{h24}-{h34}", "Linear key": "lin_api_{A40}",
    "Notion token": "ntn_{D11}{A35}", "Figma token": "figd_{W40}",
    "Atlassian token": "ATATT3xFfGF0{W170}={H8}", "Doppler token": "dp.pt.{A43}",
    "Dynatrace token": "dt0c01.{U24}.{U64}", "Heroku key": "HRKU-AA{W58}",
    "PlanetScale token": "pscale_tkn_{W43}", "PlanetScale password": "pscale_pw_{W43}",
    "Supabase access token": "sbp_{h40}", "Supabase secret key": "sb_secret_{W31}",
    "Sentry user token": "sntryu_{h64}", "PostHog personal key": "phx_{A43}",
    "Prefect key": "pnu_{A36}", "CircleCI token": "CCIPAT_{A22}_{h40}",
    "Buildkite token": "bkua_{h40}", "Cloudflare origin key": "v1.0-{h24}-{h146}",
    "Sourcegraph token": "sgp_{h40}", "Typeform token": "tfp_{W44}_{l14}",
    "Shippo token": "shippo_live_{h40}", "EasyPost key": "EZAK{l54}",
    "Duffel token": "duffel_live_{W43}", "Frame.io token": "fio-u-{W64}",
    "ReadMe key": "rdme_{l70}", "Infracost key": "ico-{A32}", "Alibaba key": "LTAI{A20}",
    "Artifactory key": "AKCp{A69}", "Facebook page token": "EAAC{A150}",
    "Harness token": "pat.{A22}.{h24}.{A20}", "OpenShift token": "sha256~{W43}",
    "Tailscale key": "tskey-api-{A12}CNTRL-{A16}", "Neon key": "napi_{l64}",
    "Resend key": "resend: |re_{A8}_{A24}|", "Render key": "rnd_{A28}",
    "1Password service account token": "ops_eyJ{B300}",
    "1Password secret key": "A3-{U6}-{U6}-{U5}-{U5}-{U5}-{U5}",
    "JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJ{W60}.{W43}",
    "age key": "AGE-SECRET-KEY-1{T0}", "Octopus Deploy key": "API-{U26}",
    "Fly.io token": "FlyV1 fm2_{B120}", "Adobe client secret": "p8e-{l32}",
}  # fmt: skip
#: known by what stands about them
IN_CONTEXT = {
    "AWS secret key": "aws_secret_access_key = |{B40}|",
    "AWS session token": "AWS_SESSION_TOKEN=|IQoJb3JpZ2luX2Vj{B300}|",
    "Azure storage key": "AccountName=x;AccountKey=|{B86}==|;EndpointSuffix=core.windows.net",
    "Azure shared access signature": "https://x.blob.core.windows.net/c/f?sv=2024&sig=|{A43}%3D|",
    "Azure Service Bus key": "Endpoint=sb://x/;SharedAccessKeyName=r;SharedAccessKey=|{B43}=|",
    "AWS signed address": "https://b.s3.amazonaws.com/k?X-Amz-Date=2&X-Amz-Signature=|{h64}|",
    "Google signed address": "https://storage.googleapis.com/b/k?X-Goog-Signature=|{h128}|",
    "Authorization: Token": "Authorization: Token |{h40}|",
    "Authorization: ApiKey": "Authorization: ApiKey |{A32}|",
    "Authorization: Basic": "Authorization: Basic |{B24}|",
    "Authorization: Bearer": "Authorization: Bearer |{W40}|",
    "Cookie": "Cookie: |session={A26}; csrftoken={A32}|",
    "Set-Cookie": "Set-Cookie: |sid={A32}; Path=/; HttpOnly|",
    "x-api-key header": "x-api-key: |{A32}|", "x-auth-token header": "X-Auth-Token: |{h32}|",
    "password in the environment": "DB_PW=|{A12}|", "password of a setting": "PGPASSWORD=|{A12}|",
    "password in JSON": '{"user": "a", "password": "|{A12}|"}',
    "token in JSON": '{"token": "|{A24}|", "n": 1}',
    "credentials in JSON": '{"credentials": "|{A24}|"}',
    "password in XML": "<db><password>|{A12}|</password></db>",
    "password in YAML": "password: |{A14}1|\nuser: x",
    "client secret": "client_secret='|{A32}|'", "password of an option": "--password |{A10}7x|",
    "curl -u": "curl -s -u ann:|{A14}| https://example.com", "sshpass": "sshpass -p |{A10}| ssh h",
    "docker login": "docker login -u ann -p |{A14}|",
    "password in an address": "postgres://ann:|{A14}|@db.example.com:5432/x",
    "private key (PEM)":
        "-----BEGIN RSA PRIVATE KEY-----\n|{B64}\n{B64}|\n-----END RSA PRIVATE KEY-----",
    "private key (OpenSSH)":
        "-----BEGIN OPENSSH PRIVATE KEY-----\n|{B70}\n{B64}|\n-----END OPENSSH PRIVATE KEY-----",
    "private key (PGP)":
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n|{B64}\n|-----END PGP PRIVATE KEY BLOCK-----",
    "private key (PuTTY)":
        "PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n|{B64}|\nPrivate-MAC: {h64}",
    "Twilio auth token": "TWILIO_AUTH_TOKEN=|{h32}|", "Cohere key": "cohere_api_key: |{A40}|",
    "Mistral key": "MISTRAL_API_KEY=|{A32}|", "Datadog key": "datadog api key: |{h32}|",
    "Cloudflare token": "cloudflare_api_token = |{W40}|", "Snyk token": "snyk_token=|{u}|",
    "Mailchimp key": "mailchimp key: |{h32}-us12|", "Okta token": "okta_token = |00{W40}|",
    "Airtable token": "airtable |pat{A14}.{h64}|", "Plaid token": "plaid: |access-production-{u}|",
    "Hugging Face in an address": "https://user:|hf_{A34}|@huggingface.co/x",
}  # fmt: skip
_BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"


def make(name: str, draw: random.Random) -> tuple[str, str]:
    """(a text with one secret of this kind, the secret in it)."""
    form = TOKENS.get(name) or IN_CONTEXT[name]

    def drawn(match: re.Match[str]) -> str:
        if match.group() == "{u}":
            return str(uuid.UUID(int=draw.getrandbits(128), version=4))
        signs = _SIGNS[match[1]]
        text = "".join(draw.choice(signs) for _ in range(int(match[2])))
        # what is handed out is random: none of it is all letters
        return text if len(text) < 8 or any(c.isdigit() for c in text) else text[:-1] + "7"

    text = _DRAWN.sub(drawn, form)
    if name == "age key":
        text += "".join(draw.choice(_BECH32) for _ in range(58))
    before, bar, rest = text.partition("|")
    if not bar:
        return text, text
    secret, _, after = rest.rpartition("|")
    return before + secret + after, secret


#: how a token stands in what people and programs write
AROUND = (
    "{}", "here is my key {} thanks", "key={}", 'token = "{}"', "I use `{}`, it fails.", "({})",
    "{{'key': '{}'}}", "see {}.", "export KEY={}\nrun", "<key>{}</key>",
)  # fmt: skip


def texts(name: str, count: int, seed: int = 0) -> list[tuple[str, str]]:
    """`count` texts with one secret each, and the secrets."""
    draw = random.Random(f"{name} {seed}")
    made = []
    for number in range(count):
        text, secret = make(name, draw)
        around = AROUND[number % len(AROUND)] if name in TOKENS else "{}"
        made.append((around.format(text), secret))
    return made


def leaks(secret: str, masked: str, length: int = 9) -> bool:
    """Whether a stretch of the secret stands in the text still."""
    length = min(length, len(secret))
    return any(secret[i : i + length] in masked for i in range(len(secret) - length + 1))
