import type { BrowserContextOptions } from '@playwright/test'
import { settled } from '../support/accessible'
import { test } from '../support/fixtures'
import { WebClient } from '../support/relying/web'
import { states } from '../support/states'
import { words } from '../support/words'

const variants: Record<string, BrowserContextOptions> = {
  light: {},
  dark: { colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
  french: { locale: 'fr-FR' },
}

for (const [variant, options] of Object.entries(variants)) {
  test.describe(variant, () => {
    test.use(options)

    for (const state of states) {
      test(state.name, async ({ page, server, person, signInAs, watch, locale }) => {
        watch.allow(...(state.allow ?? []))
        const client = await WebClient.start(server, { name: 'Ledger' })
        await state.open({ page, server, client, person, signInAs, t: words(locale === 'fr-FR' ? 'fr' : 'en') })
        await page.waitForLoadState('networkidle')
        await settled(page)
        const file = state.name.replace(/[^a-z]+/g, '-')
        const dialog = (await page.getByRole('dialog').count()) + (await page.getByRole('menu').count()) > 0
        await page.screenshot({ path: `screenshots/${file}-${variant}.png`, fullPage: !dialog })
        await client.stop()
      })
    }
  })
}
