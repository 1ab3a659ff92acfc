import { afterAll, afterEach, beforeAll } from 'vitest'
import { enableAutoUnmount } from '@vue/test-utils'
import { loadArea, setLocale } from '@/i18n'
import { server } from './server'

beforeAll(async () => {
  server.listen({ onUnhandledRequest: 'error' })
  await Promise.all((['auth', 'account', 'admin'] as const).map(loadArea))
  await setLocale('en')
})
afterEach(async () => {
  server.resetHandlers()
  localStorage.clear()
  document.body.innerHTML = ''
  await setLocale('en')
})
afterAll(() => server.close())

// The last to register is the first to run: a page is taken down before what it stands on.
enableAutoUnmount(afterEach)
