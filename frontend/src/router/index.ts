import { createRouter, createWebHistory, type RouteLocationNormalized } from 'vue-router'
import { loadArea } from '@/i18n'
import { useSessionStore } from '@/stores/session'
import { returnPath } from './returnTo'
import { routes } from './routes'

export const router = createRouter({
  history: createWebHistory(),
  routes,
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
})

export const signInFrom = (path: string) => ({ name: 'signIn', query: { return_to: path } })

router.beforeEach(async (to) => {
  const session = useSessionStore()
  const { area, access } = to.meta
  // With ?request= the server says what is needed next, also of a person who is signed in (prompt=login).
  const asksServer = access === 'public' || (access === 'guest' && Boolean(to.query.request))
  await Promise.all([area && loadArea(area), asksServer ? undefined : session.ensure()])
  return asksServer ? true : permit(to)
})

/** The server is always the authority; this only spares people pages that could show them nothing. */
function permit(to: RouteLocationNormalized) {
  const session = useSessionStore()
  if (session.failure) return true // App.vue shows the failure; sending the person to sign in would be a lie
  if (to.meta.access === 'guest') return session.user ? returnPath(to.query.return_to) : true
  return session.user ? true : signInFrom(to.fullPath)
}
