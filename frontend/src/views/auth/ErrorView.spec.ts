import { expect, test } from 'vitest'
import { visit } from '@/testing/visit'

test('explains the code and offers the request id', async () => {
  const page = await visit('/error?error=invalid_client&id=0199-abc')
  expect(page.text()).toContain('Unknown application')
  expect(page.text()).toContain('0199-abc')
})

// Text from the address would let anybody put words into this page's mouth.
test('shows nothing else of what the address says', async () => {
  const page = await visit('/error?error=Call+0800+now&error_description=Call+0800+now&id=Call%200800%20now')
  expect(page.text()).toContain('Something went wrong')
  expect(page.text()).not.toContain('0800')
})
