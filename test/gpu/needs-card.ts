// Has `npm run test:gpu` say in one sentence what is missing where there is no card.
import { countCards } from '../../src/device/cuda/cudart.ts';

export const mochaHooks = {
  beforeAll(): void {
    countCards();
  },
};
