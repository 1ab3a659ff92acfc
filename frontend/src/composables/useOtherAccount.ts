import { useRoute, useRouter } from 'vue-router'
import { useSessionStore } from '@/stores/session'

/** Signs out and keeps the authorization request, so that another person can go on with it. */
export function useOtherAccount() {
  const route = useRoute()
  const router = useRouter()
  const session = useSessionStore()

  return async () => {
    await session.signOut()
    await router.push({ name: 'signIn', query: { request: route.query.request } })
  }
}
