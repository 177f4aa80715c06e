"""The style of the Data Docs page: a few rules of our own, in place of a web framework's."""

STYLE = """
:root { color-scheme: light; --ink: #1d2733; --soft: #5b6b7c; --line: #dfe5ec; --band: #f5f7fa;
  --good: #1a7f45; --bad: #b3261e; --warn: #8a5a00; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 28px; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 36px 0 6px; }
h5 { font-size: 15px; margin: 0; }
h6 { font-size: 13px; margin: 0; color: var(--soft); font-weight: 600; }
.lead, small { color: var(--soft); }
.lead { margin: 0 0 14px; }
code { font: 13px/1.4 ui-monospace, "DejaVu Sans Mono", monospace; }
.cards { display: flex; gap: 12px; flex-wrap: wrap; }
.card { flex: 1 1 150px; border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; }
.card b { display: block; font-size: 26px; line-height: 1.2; }
.card span { color: var(--soft); }
.card.good b { color: var(--good); }
.card.bad b { color: var(--bad); }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: 13px; }
th, td { padding: 7px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tag { font-size: 12px; padding: 1px 8px; border-radius: 10px; border: 1px solid; }
.tag.critical { color: var(--bad); }
.tag.batch { color: var(--bad); }
.tag.warning { color: var(--warn); }
.gx .ge-section { margin: 0 0 18px; }
.gx .alert { background: var(--band); border-radius: 6px; padding: 8px 12px; }
.gx .table-responsive { padding: 0 2px; }
.gx td:first-child { width: 110px; white-space: nowrap; }
.gx td:last-child { width: 300px; color: var(--soft); }
.gx i { font-style: normal; font-weight: 600; }
.gx i.fa-check-circle::before { content: "✓ pass"; color: var(--good); }
.gx i.fa-times::before { content: "✗ fail"; color: var(--bad); }
.gx i.fa-times.warned::before { content: "! warning"; color: var(--warn); }
.gx i.fa-exclamation-triangle::before { content: "! error"; color: var(--bad); }
.gx .text-danger { color: var(--bad); }
.gx .warned { color: var(--warn); }
.gx td strong { display: block; font-weight: 600; }
.gx td strong br { display: none; }
a[href] { color: #1a5fb4; }
@media print { main { padding: 0; } }
"""
