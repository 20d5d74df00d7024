// Accounts at providers and their tokens: contract 1.8 and the link rules of 4.4.

import { APP } from '../parts.mjs'
import { collection, enter } from './basis.mjs'
import { begin } from './oauth.mjs'

const { list, add } = collection()
export default list

function link(browser, provider, more = {}, about = '') {
  return browser.scene.v17 ? browser.call('linkSocial', about, { provider, ...more }) : browser.call('oauth2.link', about, { providerId: provider, callbackURL: '/linked', ...more })
}

async function account(browser, providerId) {
  const { data } = await browser.call('listAccounts')
  return data?.find?.((one) => one.providerId === providerId) ?? { id: 'none', accountId: 'none' }
}

add('accounts are linked and unlinked', 'main', async (s) => {
  const anna = await enter(s, 'anna.accounts', { verified: true })
  const urls = { callbackURL: '/linked', errorCallbackURL: `${APP}/oops` }
  const go = async (about, provider, person, browser = anna) => {
    const start = await link(browser, provider, urls, about)
    s.idp.next = person
    await browser.through(start, { about })
  }
  await link(s.browser(), 'authentik', urls, 'nobody')
  await link(anna, 'unknown', urls, 'unknown provider')
  await go('another address', 'authentik', { sub: 'acc-x', email: 'other.accounts@example.org', email_verified: true, name: 'X' })
  await go('the same address', 'authentik', { sub: 'acc-1', email: anna.email, email_verified: true, name: 'Anna' })
  await go('linked already', 'authentik', { sub: 'acc-1', email: anna.email, email_verified: true, name: 'Anna' })
  const eve = await enter(s, 'eve.accounts', { verified: true })
  await go("somebody else's account", 'authentik', { sub: 'acc-1', email: eve.email, email_verified: true, name: 'Eve' }, eve)
  await go('access denied', 'authentik', { error: 'access_denied' })
  const held = await account(anna, 'authentik')
  const credential = await account(anna, 'credential')
  await s.browser().post('nobody', '/unlink-account', { providerId: 'authentik', accountId: 'x' })
  const drop = (about, one) => anna.post(about, '/unlink-account', s.v17 ? { accountId: one.id } : { providerId: one.providerId ?? 'authentik', accountId: one.accountId })
  await drop('unknown', { id: 'unknown', accountId: 'unknown' })
  await anna.post('nothing', '/unlink-account', {})
  await drop('the provider', held)
  await drop('once more', held)
  await drop('the last one', credential)
  await anna.call('listAccounts')
  await s.browser().call('listAccounts', 'nobody')
})

add("a provider's tokens", 'main', async (s) => {
  const anna = s.browser()
  const start = await begin(anna, 'authentik', { callbackURL: '/in' })
  s.idp.next = { sub: 'tok-1', email: 'anna.tokens@example.org', email_verified: true, name: 'Anna' }
  await anna.through(start)
  const held = await account(anna, 'authentik')
  const which = s.v17 ? { accountId: held.id } : { providerId: 'authentik', accountId: held.accountId }
  await anna.post('mine', '/get-access-token', which)
  await anna.post('nothing', '/get-access-token', {})
  await anna.post('unknown account', '/get-access-token', s.v17 ? { accountId: 'unknown' } : { providerId: 'authentik', accountId: 'unknown' })
  await anna.post('unknown provider', '/get-access-token', { providerId: 'unknown' })
  if (!s.v17) await anna.post('by provider alone', '/get-access-token', { providerId: 'authentik' })
  if (s.v17) await anna.post('account cookie', '/get-access-token', { useAccountCookie: true })
  if (s.v17) await anna.post('both', '/get-access-token', { ...which, useAccountCookie: true })
  await s.browser().post('nobody', '/get-access-token', which)
  await anna.post('refreshed', '/refresh-token', which)
  await anna.post('nothing', '/refresh-token', {})
  await s.browser().post('nobody', '/refresh-token', which)
  const query = s.v17 ? `accountId=${held.id}` : `accountId=${held.accountId}`
  await anna.get('mine', `/account-info?${query}`)
  await anna.get('nothing', '/account-info')
  await anna.get('unknown', '/account-info?accountId=unknown')
  await s.browser().get('nobody', `/account-info?${query}`)
  const eve = await enter(s, 'eve.tokens')
  await eve.post("somebody else's", '/get-access-token', which)
  await eve.post("somebody else's", '/refresh-token', which)
  await eve.get("somebody else's", `/account-info?${query}`)
  if (s.v17) await eve.post("somebody else's", '/unlink-account', which)
  const plain = s.browser()
  const second = await begin(plain, 'plain', { callbackURL: '/in' })
  s.idp.next = { sub: 'tok-2', email: 'plain.tokens@example.org', email_verified: true, name: 'Plain', noRefresh: true }
  await plain.through(second)
  const other = await account(plain, 'plain')
  await plain.post('no refresh token', '/refresh-token', s.v17 ? { accountId: other.id } : { providerId: 'plain', accountId: other.accountId })
  const brief = s.browser()
  const third = await begin(brief, 'authentik', { callbackURL: '/in' })
  s.idp.next = { sub: 'tok-3', email: 'brief.tokens@example.org', email_verified: true, name: 'Brief', expiresIn: 2 }
  await brief.through(third)
  const last = await account(brief, 'authentik')
  const soon = s.v17 ? { accountId: last.id } : { providerId: 'authentik', accountId: last.accountId }
  await brief.post('about to run out: refreshed by itself', '/get-access-token', soon)
})
