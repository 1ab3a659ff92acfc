import { useRoute, useRouter } from 'vue-router'
import { useSessionStore } from '@/stores/session'

/** Signs out, and lets another person go on with the authorization request, or with the page if there is none. */
export function useOtherAccount() {
  const route = useRoute()
  const router = useRouter()
  const session = useSessionStore()

  return async () => {
    const { request } = route.query
    await session.signOut()
    await router.push({ name: 'signIn', query: request ? { request } : { return_to: route.fullPath } })
  }
}
