import { expectAccessible, expectAccessibleOnPhone } from '../support/accessible'
import { expect, test } from '../support/fixtures'
import { WebClient } from '../support/relying/web'
import { states } from '../support/states'
import { words } from '../support/words'

// WCAG 2.2 AA in light, in dark and on a phone, and no error of any kind, for whatever a person can have before them.
for (const state of states) {
  test(`accessible: ${state.name}`, async ({ page, server, person, signInAs, watch }) => {
    watch.allow(...(state.allow ?? []))
    const client = await WebClient.start(server)
    await state.open({ page, server, client, person, signInAs, t: words('en') })
    await page.waitForLoadState('networkidle')
    await expect(page.locator('#main')).toBeAttached() // not by its role: behind a dialog it is hidden from those who listen
    await expectAccessible(page)
    await expectAccessibleOnPhone(page)
    await client.stop()
  })
}
