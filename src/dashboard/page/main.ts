/** The page of the dashboard: its header, its tabs and the session behind them. */
import { byId } from './dom.ts';
import { Header } from './header.ts';
import { showKeys, startKeyboard } from './keyboard.ts';
import { Session } from './session.ts';
import { Tabs } from './tabs.ts';
import { startTheme } from './theme.ts';
import { tellError } from './toasts.ts';
import { actors } from './views/actors.ts';
import { config } from './views/config.ts';
import { log } from './views/log.ts';
import { metrics } from './views/metrics.ts';
import { overview } from './views/overview.ts';
import { samples } from './views/samples.ts';
import { timeline } from './views/timeline.ts';
import { validation } from './views/validation.ts';

startTheme();
const session = new Session();
const header = new Header(session, showKeys);
const tabs = new Tabs(
  [
    { name: 'overview', title: 'Overview', make: overview },
    { name: 'metrics', title: 'Metrics', make: metrics },
    { name: 'timeline', title: 'Timeline', make: timeline },
    { name: 'actors', title: 'Actors', make: actors },
    { name: 'samples', title: 'Samples', make: samples },
    { name: 'validation', title: 'Validation', make: validation },
    { name: 'config', title: 'Config', make: config },
    { name: 'log', title: 'Log', make: log },
  ],
  { session, failed: tellError },
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
