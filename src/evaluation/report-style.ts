/** The report's style sheet; colours follow the reader's choice of light or dark. */
export const reportStyle = `
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --card: #fff; --ink: #1d2433; --soft: #667085; --line: #e2e5eb;
  --good: #12805c; --good-paper: #e7f6ef; --bad: #c0362c; --bad-paper: #fdecea; --mid: #a15c07; --accent: #3454d1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12151c; --card: #1b2029; --ink: #e6e9f0; --soft: #98a1b3; --line: #2c333f;
    --good: #4cc38a; --good-paper: #15291f; --bad: #ff8177; --bad-paper: #331b1a; --mid: #e2a03f; --accent: #8ea6ff;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 78rem;
  background: var(--paper); color: var(--ink); font: 15px/1.55 system-ui, sans-serif;
}
h1 { margin: 0 0 .5rem; font-size: 1.7rem; letter-spacing: -.01em; }
h2 { margin: 0 0 .6rem; font-size: .95rem; }
.about { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .9rem; margin: 0 0 1.5rem; font-size: .9rem; }
.about dt { color: var(--soft); }
.about dd { margin: 0; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .75rem; margin-bottom: 1.25rem; }
.card {
  padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .7rem; background: var(--card);
}
.card b { display: block; font-size: 1.45rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .85rem; }
.card.main { border-color: var(--accent); }
.card.main b { color: var(--accent); }
.groups { display: flex; flex-wrap: wrap; gap: .75rem; }
.groups > div {
  flex: 1 1 24rem; margin-bottom: 1.25rem; padding: 1rem 1.2rem;
  border: 1px solid var(--line); border-radius: .7rem; background: var(--card);
}
table { width: 100%; border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th { width: 1%; padding: .2rem 1rem .2rem 0; white-space: nowrap; font-weight: 500; text-align: left; overflow-wrap: anywhere; }
td { padding: .2rem .4rem; text-align: right; white-space: nowrap; }
td { width: 1%; padding-left: 1rem; }
td.bar { width: auto; padding: 0; background: linear-gradient(var(--line), var(--line)) center / 100% .5rem no-repeat; }
td.bar i { display: block; height: .5rem; border-radius: .25rem; background: var(--accent); }
td.count { color: var(--soft); }
nav { display: flex; gap: .4rem; margin: .5rem 0 1rem; }
nav label { padding: .3rem .9rem; border: 1px solid var(--line); border-radius: 2rem; background: var(--card); cursor: pointer; }
nav label:has(:checked) { border-color: var(--accent); color: var(--accent); font-weight: 600; }
nav label:has(:focus-visible) { outline: 2px solid var(--accent); outline-offset: 2px; }
nav input { position: absolute; opacity: 0; }
.note { color: var(--soft); font-size: .9rem; }
body:has(#show-wrong:checked) article.right, body:has(#show-right:checked) article:not(.right) { display: none; }
article {
  margin-bottom: 1rem; padding: 1rem 1.2rem 1.2rem; border: 1px solid var(--line); border-left: .3rem solid var(--bad);
  border-radius: .7rem; background: var(--card);
}
article.right { border-left-color: var(--good); }
article.partly { border-left-color: var(--mid); }
h3 { display: flex; align-items: baseline; gap: .7rem; margin: 0 0 .8rem; font-size: 1.02rem; }
h3 small { color: var(--soft); font-weight: 400; overflow-wrap: anywhere; }
.verdict { margin-left: auto; color: var(--bad); font-size: .85rem; font-weight: 600; white-space: nowrap; }
.right > h3 .verdict { color: var(--good); }
.partly > h3 .verdict { color: var(--mid); }
.columns { display: grid; grid-template-columns: minmax(14rem, 1fr) 2fr; gap: 1.4rem; }
@media (max-width: 48rem) { .columns { grid-template-columns: 1fr; } }
img { display: block; width: 100%; max-width: 24rem; margin-bottom: .6rem; border-radius: .5rem; background: #000; }
.missing { padding: 1rem; border: 1px dashed var(--line); border-radius: .5rem; color: var(--soft); font-size: .85rem; }
.prompt { margin: .2rem 0 .6rem; font-size: .9rem; white-space: pre-line; overflow-wrap: anywhere; }
.gold { margin: 0 0 .4rem; font-size: .9rem; }
details { margin-bottom: .5rem; }
summary { cursor: pointer; font-size: .9rem; }
summary b { margin: 0 .6rem; }
summary em, .step em { color: var(--soft); font-size: .85rem; font-style: normal; }
.answers > details { padding: .6rem .8rem; border: 1px solid var(--line); border-radius: .5rem; }
.answers > details > summary b { color: var(--bad); }
.answers > details.right > summary b { color: var(--good); }
.step { margin: .7rem 0 0 .2rem; padding: .1rem 0 .1rem .8rem; border-left: 3px solid var(--line); }
.step.right { border-left-color: var(--good); }
.step.wrong { border-left-color: var(--bad); }
.step p { margin: 0 0 .3rem; white-space: pre-line; overflow-wrap: anywhere; }
.chip { display: inline-block; margin-right: .6rem; padding: .05rem .6rem; border-radius: 1rem; background: var(--paper); font-weight: 600; }
.step.right .chip { background: var(--good-paper); color: var(--good); }
.step.wrong .chip { background: var(--bad-paper); color: var(--bad); }
.step.wrong em { color: var(--bad); }
.raw { margin: .8rem 0 0; }
.raw > summary { color: var(--soft); font-size: .8rem; }
pre { margin: .5rem 0 0; padding: .7rem; border-radius: .5rem; background: var(--paper); font-size: .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print { nav { display: none; } article { break-inside: avoid; } }
`;
