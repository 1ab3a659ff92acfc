import type { Page } from '@playwright/test'
import { settled } from '../support/accessible'
import { expect, test } from '../support/fixtures'
import { expectConsent } from '../support/pages'
import { WebClient } from '../support/relying/web'

/** Runs in the page: how an element and what surrounds it look, as far as a focus can show in it. */
function look(element: Element): string {
  const around = [element, element.parentElement, element.nextElementSibling]
  const properties = ['outline', 'boxShadow', 'borderColor', 'backgroundColor', 'textDecoration', 'top'] as const
  return around.map((e) => (e ? properties.map((property) => getComputedStyle(e)[property]).join('|') : '')).join('\n')
}

/** Moves the focus on by Tab, to what has the name, and makes sure that one can always see where it is (WCAG 2.4.7). */
async function tabTo(page: Page, name: RegExp) {
  for (let i = 0; i < 25; i++) {
    await page.keyboard.press('Tab')
    await settled(page)
    const element = await page.locator(':focus').elementHandle()
    if (!element) throw new Error('Tab led nowhere')
    const focused = await element.evaluate(look)
    await element.evaluate((e) => (e as HTMLElement).blur())
    await settled(page)
    const called = (await element.getAttribute('aria-label')) ?? (await element.innerText())
    expect(focused, `${called}: the focus is not to be seen`).not.toBe(await element.evaluate(look))
    await element.focus()
    if (name.test(called)) return
  }
  throw new Error(`no way by Tab to ${name}`)
}

test('the keyboard is enough to sign in, to refuse a scope and to allow the rest', async ({ page, server, person }) => {
  const client = await WebClient.start(server)
  await client.begin(page, { scope: 'openid profile email' })
  await expect(page.getByRole('textbox', { name: 'E-mail address' })).toBeFocused()
  await page.keyboard.type(person.email)
  await page.keyboard.press('Enter')
  await expect(page.getByRole('textbox', { name: 'Password' })).toBeFocused()
  await page.keyboard.type('oops')
  await tabTo(page, /Show password/)
  await page.keyboard.press('Space')
  await expect(page.getByRole('textbox', { name: 'Password' })).toHaveAttribute('type', 'text')
  await page.keyboard.press('Shift+Tab')
  await page.keyboard.press('Control+A')
  await page.keyboard.type(person.password)
  await tabTo(page, /^Sign in$/)
  await page.keyboard.press('Enter')

  await expectConsent(page, client.application.name)
  await tabTo(page, /See your e-mail address/)
  await page.keyboard.press('Space')
  await tabTo(page, /^Allow$/)
  await page.keyboard.press('Enter')
  expect((await client.signedIn(page)).scope?.split(' ').sort()).toEqual(['openid', 'profile'])
  await client.stop()
})

test('the first Tab on a signed-in page offers the way past the navigation', async ({ page, person, signInAs }) => {
  await signInAs(person)
  await page.goto('/account')
  await expect(page.getByRole('heading', { name: 'Profile' })).toBeVisible()
  await page.keyboard.press('Tab')
  const skip = page.getByRole('link', { name: 'Skip to the content' })
  await expect(skip).toBeFocused()
  await expect(skip).toBeInViewport()
  await page.keyboard.press('Enter')
  await expect(page.locator('#main')).toBeFocused()
})

test('a dialog keeps the focus, Escape closes it, and the focus is back where it was', async ({
  page,
  person,
  signInAs,
}) => {
  await signInAs(person)
  await page.goto('/account')
  const opener = page.getByRole('button', { name: 'Delete account…' })
  await opener.focus()
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog')
  await expect(dialog).toBeVisible()
  for (let i = 0; i < 8; i++) {
    await page.keyboard.press('Tab')
    await expect(dialog.locator(':focus')).toHaveCount(1)
  }
  await page.keyboard.press('Escape')
  await expect(dialog).toBeHidden()
  await expect(opener).toBeFocused()
})
