import { workerData, type MessagePort } from 'node:worker_threads';

const port = workerData as MessagePort;

/** Sends objects back, and takes bytes in silence. */
port.on('message', (message: unknown) => {
  if (!(message instanceof Uint8Array)) port.postMessage(message);
});
