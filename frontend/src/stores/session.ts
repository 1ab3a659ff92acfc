import { computed, ref, shallowRef } from 'vue'
import { defineStore } from 'pinia'
import * as account from '@/api/account'
import { ApiError } from '@/api/http'

/** Who is signed in. The session itself is an HttpOnly cookie that this code never sees. */
export const useSessionStore = defineStore('session', () => {
  const user = ref<account.User>()
  const session = ref<account.SignedIn['session']>()
  const sessionId = computed(() => session.value?.id)
  /** The organization that the person acts for where nothing else is said. */
  const activeOrganizationId = computed(() => session.value?.activeOrganizationId ?? undefined)
  const failure = shallowRef<ApiError>()
  const isAdmin = computed(() => user.value?.role === 'admin' || user.value?.role === 'superadmin')
  let pending: Promise<void> | undefined

  /** Asks once per page load; the guards of all routes share the answer. */
  const ensure = () => (pending ??= load())

  async function load() {
    failure.value = undefined
    try {
      const answer = await account.getSession()
      user.value = answer?.user
      session.value = answer?.session
    } catch (e) {
      if (!(e instanceof ApiError)) throw e
      forget()
      if (e.problem.status !== 401) failure.value = e
    }
  }

  async function refresh() {
    pending = load()
    await pending
  }

  async function signOut() {
    await account.signOut()
    forget()
  }

  /** The server ended the session: nothing that belongs to it may stay on the screen. */
  function forget() {
    user.value = undefined
    session.value = undefined
  }

  return { user, sessionId, activeOrganizationId, failure, isAdmin, ensure, refresh, signOut, forget }
})
