/** The page's style: one column, system fonts, no scripts, readable in print. */
export const STYLE = `
:root { color-scheme: light; --ink: #1f2933; --soft: #52606d; --line: #e4e7eb; --good: #0f766e; --bad: #b4232c; --paper: #fff; --ground: #f5f7f8; }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 Inter, system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 48px 24px 80px; }
header { margin-bottom: 32px; }
.kicker { margin: 0; color: var(--soft); font-size: 14px; font-variant-numeric: tabular-nums; }
h1 { margin: 4px 0 8px; font-size: 40px; line-height: 1.1; letter-spacing: -0.02em; }
h2 { margin: 0 0 8px; font-size: 22px; letter-spacing: -0.01em; }
p { max-width: 75ch; margin: 0 0 16px; }
.verdict { font-size: 19px; margin-bottom: 20px; }
.verdict strong { color: var(--good); }
nav { display: flex; flex-wrap: wrap; gap: 8px; }
nav a { padding: 5px 13px; border: 1px solid var(--line); border-radius: 999px; background: var(--paper); color: var(--ink); text-decoration: none; font-size: 14px; }
nav a:hover, nav a:focus-visible { border-color: var(--good); color: var(--good); }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 12px; padding: 26px 30px 22px; margin-bottom: 20px; }
figure { margin: 18px 0 14px; }
figure svg { display: block; max-width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: 13px; margin-top: 6px; }
.scroll { overflow-x: auto; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 12px 32px; margin: 0 0 8px; }
dt { color: var(--soft); font-size: 13px; }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.warning { max-width: none; padding: 10px 14px; border-left: 3px solid #c2570c; background: #fff7ed; border-radius: 4px; font-size: 15px; }
details { margin-top: 6px; border-top: 1px solid var(--line); padding-top: 12px; }
summary { cursor: pointer; color: var(--soft); font-size: 14px; }
summary:hover { color: var(--good); }
table { width: 100%; border-collapse: collapse; font-size: 14px; margin-top: 10px; }
th { text-align: left; color: var(--soft); font-weight: 500; border-bottom: 1px solid #cbd2d9; padding: 6px 12px 6px 0; white-space: nowrap; }
td { border-bottom: 1px solid var(--line); padding: 6px 12px 6px 0; vertical-align: top; }
td:first-child:not(:has(.badge)) { min-width: 250px; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.strong { font-weight: 600; }
td.slower { color: var(--bad); }
td.faster { color: var(--good); }
td.more { color: var(--ink); font-size: 13px; min-width: 240px; }
td.more span { display: inline-block; margin-right: 12px; }
td.more i { color: var(--soft); font-style: normal; }
.badge { display: inline-block; min-width: 58px; padding: 1px 8px; border-radius: 999px; font-size: 12px; text-align: center; color: #fff; background: var(--good); }
.missed .badge { background: var(--bad); }
code { font: 14px ui-monospace, 'SF Mono', Menlo, Consolas, monospace; background: var(--ground); padding: 1px 5px; border-radius: 4px; }
ul { margin: 0; padding-left: 20px; }
li { margin-bottom: 6px; max-width: 85ch; }
@media (max-width: 640px) { main { padding: 24px 12px 48px; } section { padding: 20px 16px; } h1 { font-size: 32px; } }
@media print { body { background: #fff; } section { break-inside: avoid; border: 0; padding: 0 0 16px; } nav { display: none; } }
`;
