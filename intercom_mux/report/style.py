"""The style of the page: light and dark, from a phone to a wide screen, and for print."""

from __future__ import annotations

CSS = """\
:root{color-scheme:light dark;--bg:#fcfcfa;--ink:#1c1e21;--soft:#5a6068;--rule:#d9dbd6;--card:#fff;--accent:#1a5fb4;
--ask:#9a4b00;--reply:#1d6b3a;--notice:#6b6f76;--thinking:#2f7fd1;--blocked:#c8372d;--idle:#b9bfc6;--starting:#a37bd1;
--exited:#555b63;--unknown:#d9d2b8;--done:#2e8b57;--wait:#f3d9b5}
@media (prefers-color-scheme:dark){:root{--bg:#16181b;--ink:#e6e7e9;--soft:#a4abb4;--rule:#363b42;--card:#1e2125;
--accent:#84b8f5;--ask:#f0ad66;--reply:#7fd29c;--notice:#9aa1aa;--thinking:#4c97e6;--blocked:#e8655b;--idle:#555d66;
--starting:#b493de;--exited:#8f959d;--unknown:#6f6a52;--done:#4fb37c;--wait:#5b4325}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:76rem;margin:0 auto;padding:0 1rem}
h1{font-size:1.6rem;line-height:1.2;margin:1.2rem 0 .3rem}
h2{font-size:1.2rem;margin:0 0 .6rem}
p{margin:.4rem 0}
.soft,footer{color:var(--soft)}
a{color:var(--accent)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:.5rem;background:var(--card);padding:.4rem .8rem}
nav ul{display:flex;flex-wrap:wrap;gap:.2rem 1rem;list-style:none;margin:.8rem 0;padding:0}
nav a{display:inline-block;padding:.3rem 0}
section{background:var(--card);border:1px solid var(--rule);border-radius:.5rem;padding:1rem;margin:0 0 1rem;
min-width:0}
.scroll{overflow-x:auto;max-width:100%}
.scroll svg{display:block;flex:none}
summary{cursor:pointer;padding:.4rem 0;color:var(--accent)}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;color:var(--soft);padding:.2rem 0}
th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--rule)}
th{font-weight:600;white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
th,td{overflow-wrap:break-word}
td.t{white-space:nowrap}
td.text{min-width:16rem;overflow-wrap:anywhere;white-space:pre-wrap;unicode-bidi:plaintext}
.cuts{border-left:4px solid var(--ask);padding-left:.8rem}
.facts{display:flex;flex-wrap:wrap;gap:.4rem 1.6rem;margin:.6rem 0;padding:0;list-style:none}
.facts strong{font-size:1.15rem}
.key{display:flex;flex-wrap:wrap;gap:.2rem 1rem;list-style:none;padding:0;margin:.4rem 0;font-size:.9rem}
.key i{display:inline-block;width:.9em;height:.9em;margin-right:.4em;border-radius:2px;vertical-align:-.1em}
progress{width:5rem;accent-color:var(--accent)}
svg{font:12px system-ui,sans-serif}
svg text{fill:var(--ink);unicode-bidi:isolate}
.name{text-anchor:middle;font-weight:600}
.name,.said,.count{paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}
.node{fill:var(--accent)}
.line{fill:none;stroke:var(--soft);opacity:.75}
.count,.said{text-anchor:middle}
.own{text-anchor:start}
.life{stroke:var(--rule);stroke-dasharray:3 4}
.wait{fill:var(--wait)}
.arrow{fill:none;stroke:var(--ink);stroke-width:1.4}
.tip{fill:var(--soft)}
.ask .arrow{stroke:var(--ask)}.reply .arrow{stroke:var(--reply);stroke-dasharray:6 3}
.notice .arrow{stroke:var(--notice);stroke-dasharray:2 3}
svg .took{fill:var(--reply)}
svg .at,svg .tick{fill:var(--soft);font-size:11px}
.row,.last{text-anchor:end}
.none{fill:none;stroke:var(--rule)}
.do-thinking,.do-started{fill:var(--thinking);background:var(--thinking)}
.do-blocked{fill:var(--blocked);background:var(--blocked)}
.do-failed{fill:var(--ink);background:var(--ink)}
.do-idle,.do-assigned{fill:var(--idle);background:var(--idle)}
.do-starting{fill:var(--starting);background:var(--starting)}
.do-exited{fill:var(--exited);background:var(--exited)}
.do-ended{fill:transparent;background:transparent;outline:1px solid var(--exited)}
.do-unknown{fill:var(--unknown);background:var(--unknown)}
.do-done{fill:var(--done);background:var(--done)}
.do-away{fill:transparent;background:transparent;outline:1px dashed var(--soft)}
@media (max-width:40rem){section{padding:.8rem .7rem}h1{font-size:1.35rem}}
@media print{section{break-inside:avoid;border:0}.skip,nav{display:none}}
"""
