import { NodeHost } from '../../actors/runtime/node.ts';
import { IpcLink } from './ipc-link.ts';

const host = new NodeHost(new IpcLink(process, 'head', false));
await host.ended;
