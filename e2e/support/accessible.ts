import { AxeBuilder } from '@axe-core/playwright'
import { expect, type Page } from '@playwright/test'

const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']

/** Colours on their way from one state to the next have contrasts that nobody designed. */
export async function settled(page: Page) {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map((animation) => animation.finished)))
}

/** Checks what the page shows now, in light and in dark, against WCAG 2.2 AA, and that it has its font. */
export async function expectAccessible(page: Page) {
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme })
    await expect(page.locator('html')).toHaveClass(colorScheme === 'dark' ? /\bdark\b/ : /^(?!.*\bdark\b)/)
    await expectNoBarrier(page, colorScheme)
  }
  expect(await page.evaluate(fontLoaded), 'the font is there').toBe(true)
}

/** Runs in the page. check alone would also be content with a font that nobody declared. */
function fontLoaded() {
  const declared = [...document.fonts].some(
    ({ family, status }) => family.includes('Inter Variable') && status === 'loaded',
  )
  return declared && document.fonts.check('16px "Inter Variable"')
}

/** Checks the same in the layout of a phone, which has other parts, and that nothing is wider than the screen. */
export async function expectAccessibleOnPhone(page: Page) {
  await page.setViewportSize({ width: 390, height: 844 })
  await expectNoBarrier(page, 'a phone')
  const [wide, width] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ])
  expect(wide, `${page.url()} scrolls sideways`).toBeLessThanOrEqual(width ?? 0)
}

async function expectNoBarrier(page: Page, where: string) {
  await settled(page)
  const { violations } = await new AxeBuilder({ page }).withTags(rules).analyze()
  const grave = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map((node) => `${node.html} — ${node.failureSummary}`) }))
  expect(grave, `${page.url()} in ${where}`).toEqual([])
}
