import { defineConfig } from '@playwright/test'
import { findBrowser } from './support/browser'
import type { WorkerFixtures } from './support/fixtures'

/** The tests are independent: each makes its own people and applications, on a server that its worker has for itself. */
export default defineConfig<object, WorkerFixtures>({
  testDir: 'tests',
  outputDir: 'test-results',
  globalSetup: './support/setup.ts',
  fullyParallel: true,
  workers: 2,
  forbidOnly: Boolean(process.env.CI),
  timeout: 60_000,
  expect: { timeout: 10_000 },
  reporter: [['list']],
  projects: [
    { name: 'sqlite' },
    // What the databases could disagree about, once more on the other one.
    { name: 'postgres', testMatch: /(core|spa|crash)\.spec\.ts/, use: { database: 'postgres' } },
  ],
  use: {
    browserName: 'chromium',
    locale: 'en-US',
    timezoneId: 'UTC',
    viewport: { width: 1280, height: 800 },
    contextOptions: { reducedMotion: 'reduce' },
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: findBrowser(),
      args: [
        '--disable-gpu',
        '--disable-quic',
        // The browser can reach nothing but this machine; tests also fail when a page tries.
        '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
      ],
    },
  },
})
