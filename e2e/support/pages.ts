import { expect, type Page } from '@playwright/test'

/** Fills in the sign-in page, which asks for the address first. */
export async function signIn(page: Page, { email, password }: { email: string; password: string }) {
  await page.getByRole('textbox', { name: 'E-mail address' }).fill(email)
  await page.getByRole('button', { name: 'Continue' }).click()
  await givePassword(page, password)
}

export async function givePassword(page: Page, password: string) {
  await page.getByLabel('Password', { exact: true }).fill(password)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
}

export async function expectConsent(page: Page, application: string) {
  await expect(page.getByRole('heading', { name: `${application} wants to access your account` })).toBeVisible()
}

export async function allow(page: Page, application: string) {
  await expectConsent(page, application)
  await page.getByRole('button', { name: 'Allow', exact: true }).click()
}
