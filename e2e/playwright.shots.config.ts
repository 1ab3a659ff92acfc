import type { PlaywrightTestConfig } from '@playwright/test'
import config from './playwright.config'

/** Takes a picture of every state of every page into screenshots/, for people to look at. `npm run shots -- -g consent` takes some. */
export default {
  ...config,
  testDir: 'shots',
  projects: [{ name: 'shots' }],
} satisfies PlaywrightTestConfig
