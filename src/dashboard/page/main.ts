/** The page of the dashboard: its header, its tabs and the session behind them. */
import { byId } from './dom.ts';
import { Header } from './header.ts';
import { showKeys, startKeyboard } from './keyboard.ts';
import { Session } from './session.ts';
import { Tabs } from './tabs.ts';
import { startTheme } from './theme.ts';
import { Actors } from './views/actors.ts';
import { Config } from './views/config.ts';
import { Log } from './views/log.ts';
import { Metrics } from './views/metrics.ts';
import { Overview } from './views/overview.ts';
import { Samples } from './views/samples.ts';
import { Timeline } from './views/timeline.ts';
import { Validation } from './views/validation.ts';

startTheme();
const session = new Session();
const header = new Header(session, showKeys);
const tabs = new Tabs(
  [
    { name: 'overview', title: 'Overview', View: Overview },
    { name: 'metrics', title: 'Metrics', View: Metrics },
    { name: 'timeline', title: 'Timeline', View: Timeline },
    { name: 'actors', title: 'Actors', View: Actors },
    { name: 'samples', title: 'Samples', View: Samples },
    { name: 'validation', title: 'Validation', View: Validation },
    { name: 'config', title: 'Config', View: Config },
    { name: 'log', title: 'Log', View: Log },
  ],
  session,
);
startKeyboard(tabs, () => void header.picker.choose());
session.listen((change) => header.update(change));
session.listen((change) => tabs.update(change));
session.start();
document.querySelector('.skip')!.addEventListener('click', (event) => {
  // The address stays: it keeps the view.
  event.preventDefault();
  byId('view').focus();
});
