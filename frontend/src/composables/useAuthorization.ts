import { computed, ref } from 'vue'
import { useRoute, useRouter } from 'vue-router'
import { cancelRequest, getRequest, type AuthorizationRequest, type NextStep } from '@/api/requests'
import { suggestLocales } from '@/i18n'
import { leave, opensAnotherProgram } from '@/router/leave'
import { useAuthorizationStore } from '@/stores/authorization'

const pages: Record<NextStep, string> = {
  sign_in: 'signIn',
  sign_up: 'register',
  select_account: 'selectAccount',
  organization: 'selectOrganization',
  consent: 'consent',
}

/** Drives the authorization request named in ?request=: the server says what is next, the page only goes there. */
export function useAuthorization() {
  const route = useRoute()
  const router = useRouter()
  const store = useAuthorizationStore()
  const id = computed(() => (typeof route.query.request === 'string' ? route.query.request : undefined))
  const request = computed(() => (store.request?.id === id.value ? store.request : undefined))
  /** Set when another program was asked to continue, because this page then stays on the screen. */
  const handedTo = ref<string>()

  /** Reads the request and moves on if it does not need one of the steps that this page is for. */
  async function enter(...steps: NextStep[]): Promise<AuthorizationRequest | undefined> {
    if (!id.value) return
    const opened = await store.open(id.value)
    await suggestLocales(opened.uiLocales ?? [])
    if (opened.next && steps.includes(opened.next)) return opened
    await follow(opened)
  }

  /** Asks again after the person did something that the server knows of, and goes where it says. */
  async function resume() {
    if (id.value) await follow(await getRequest(id.value))
  }

  async function follow(answer: AuthorizationRequest) {
    store.keep(answer)
    if (answer.next) {
      await router.replace({ name: pages[answer.next], query: { request: answer.id } })
      return
    }
    if (answer.redirectTo) depart(answer.redirectTo)
  }

  async function cancel() {
    if (id.value) depart((await cancelRequest(id.value)).redirectTo)
  }

  function depart(address: string) {
    if (opensAnotherProgram(address)) handedTo.value = address
    leave(address)
  }

  return { id, request, handedTo, enter, resume, follow, cancel, depart }
}
