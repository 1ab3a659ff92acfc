import { http, HttpResponse } from 'msw'
import { expect, test, vi } from 'vitest'
import type { OpenedInvitation } from '@/api/organizations'
import { ada, invitation, problem, server, signedInAs } from '@/testing/server'
import { visit } from '@/testing/visit'

const address = '/accept-invitation?id=i1'
const waiting: OpenedInvitation = {
  ...invitation('Acme'),
  organizationSlug: 'acme',
  inviterEmail: 'grace@example.com',
}

/** Ada is invited, and signed in. Returns what is called with her answer. */
function invited(fields: Partial<OpenedInvitation> = {}) {
  const sent = vi.fn()
  signedInAs(ada)
  server.use(
    http.get('*/api/auth/organization/get-invitation', ({ request }) =>
      new URL(request.url).searchParams.get('id') === 'i1'
        ? HttpResponse.json({ ...waiting, ...fields })
        : problem(400, 'INVITATION_NOT_FOUND'),
    ),
    http.post('*/api/auth/organization/:answer', async ({ request, params }) => {
      sent(params.answer, await request.json())
      return HttpResponse.json({ invitation: waiting, member: null })
    }),
  )
  return sent
}

const refusedWith = (status: number, code: string) => {
  signedInAs(ada)
  server.use(http.get('*/api/auth/organization/get-invitation', () => problem(status, code)))
}

// Whoever finds the link must not learn from it who invites whom to what.
test('tells a visitor who is signed out that an invitation waits, and nothing of it', async () => {
  const page = await visit(address)
  await page.sees('An invitation is waiting for you')
  expect(page.button('Create account').getAttribute('href')).toBe(`/register?return_to=${address}`)
  await page.press('Sign in')
  await vi.waitFor(() => expect(page.router.currentRoute.value.query.return_to).toBe(address))
})

test('comes back to the invitation after signing in', async () => {
  server.use(
    http.post('*/api/auth/sign-in/email', () => {
      invited()
      return HttpResponse.json({ user: ada })
    }),
  )
  const page = await visit(`/sign-in?return_to=${address}`)
  await page.fill('E-mail address', ada.email)
  await page.submit()
  await page.fill('Password', 'correct horse')
  await page.submit()
  await page.sees('Join Acme')
  expect(page.router.currentRoute.value.fullPath).toBe(address)
})

test('says who invites whom to what, and accepts', async () => {
  const sent = invited()
  const page = await visit(address)
  await page.sees('Join Acme')
  for (const words of ['grace@example.com has invited you.', 'Administrator', 'Jan 3, 2026', ada.email]) {
    expect(page.text()).toContain(words)
  }
  await page.press('Accept')
  await page.sees('Welcome to Acme')
  expect(sent).toHaveBeenCalledWith('accept-invitation', { invitationId: 'i1' })
  expect(page.button('See your organizations').getAttribute('href')).toBe('/account/organizations')
})

test('an invitation of nobody in particular', async () => {
  invited({ inviterEmail: null })
  const page = await visit(address)
  await page.sees('You have been invited.')
})

test('declines only when asked twice', async () => {
  const sent = invited()
  const page = await visit(address)
  await page.press('Decline')
  await page.sees('Decline the invitation?')
  await page.press('Cancel')
  await page.sees('Join Acme')
  expect(sent).not.toHaveBeenCalled()
  await page.press('Decline')
  await page.sees('Decline the invitation?')
  await page.press('Decline')
  await page.sees('Invitation declined')
  expect(sent).toHaveBeenCalledExactlyOnceWith('reject-invitation', { invitationId: 'i1' })
})

test('says in which account the person is when the invitation is for another, and lets them change', async () => {
  refusedWith(403, 'YOU_ARE_NOT_THE_RECIPIENT_OF_THE_INVITATION')
  server.use(http.post('*/api/auth/sign-out', () => HttpResponse.json({ success: true })))
  const page = await visit(address)
  await page.sees('This invitation is for somebody else')
  expect(page.text()).toContain(ada.email)
  await page.press('Use another account')
  await vi.waitFor(() => expect(page.router.currentRoute.value.path).toBe('/sign-in'))
  expect(page.router.currentRoute.value.query.return_to).toBe(address)
})

test.each([
  ['unknown', () => refusedWith(400, 'INVITATION_NOT_FOUND'), address],
  ['answered before', () => invited({ status: 'accepted' }), address],
  ['an address without an id', () => invited(), '/accept-invitation'],
])('an invitation that is no longer good: %s', async (_name, prepare, path) => {
  prepare()
  const page = await visit(path)
  await page.sees('This invitation is no longer good')
})

test('says that the invitation was withdrawn while the person looked at it', async () => {
  invited()
  server.use(http.post('*/api/auth/organization/accept-invitation', () => problem(400, 'INVITATION_NOT_FOUND')))
  const page = await visit(address)
  await page.press('Accept')
  await page.sees('This invitation is no longer good')
})

test('keeps the invitation when the answer fails', async () => {
  invited()
  server.use(http.post('*/api/auth/organization/accept-invitation', () => problem(503, 'UNAVAILABLE')))
  const page = await visit(address)
  await page.press('Accept')
  await page.sees('The service is temporarily unavailable.')
  expect(page.text()).toContain('Join Acme')
})

test('says why nothing is shown, and reads it again', async () => {
  refusedWith(503, 'UNAVAILABLE')
  const page = await visit(address)
  await page.sees('The service is temporarily unavailable.')
  invited()
  await page.press('Try again')
  await page.sees('Join Acme')
})
