import { createRouter, type RouteLocationNormalized, type RouterHistory } from 'vue-router'
import { whenSignedOut } from '@/api/http'
import { loadArea } from '@/i18n'
import { useSessionStore } from '@/stores/session'
import { returnPath } from './returnTo'
import { routes } from './routes'

export function makeRouter(history: RouterHistory) {
  const router = createRouter({
    history,
    routes,
    scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
  })
  router.beforeEach(prepare)
  // A session can end at any moment: revoked elsewhere, expired, or closed in another tab.
  whenSignedOut(() => {
    useSessionStore().forget()
    const { meta, fullPath } = router.currentRoute.value
    if (meta.access === 'signedIn' || meta.access === 'admin') void router.push(signInFrom(fullPath))
  })
  return router
}

const signInFrom = (path: string) => ({ name: 'signIn', query: { return_to: path } })

async function prepare(to: RouteLocationNormalized) {
  const session = useSessionStore()
  const { area, access } = to.meta
  // With ?request= the server says what is needed next, also of a person who is signed in (prompt=login).
  const asksServer = access === 'public' || (access === 'guest' && Boolean(to.query.request))
  await Promise.all([area && loadArea(area), asksServer ? undefined : session.ensure()])
  return asksServer ? true : permit(to)
}

/** The server is always the authority; this only spares people pages that could show them nothing. */
function permit(to: RouteLocationNormalized) {
  const session = useSessionStore()
  if (session.failure) return true // App.vue shows the failure; sending the person to sign in would be a lie
  if (to.meta.access === 'guest') return session.user ? returnPath(to.query.return_to) : true
  return session.user ? true : signInFrom(to.fullPath)
}
