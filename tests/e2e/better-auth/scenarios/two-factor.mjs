// Two factors: contract 5.4.

import { totp, wrongTotp } from '../devices.mjs'
import { PASSWORD, collection, enter, signIn } from './basis.mjs'

const { list, add } = collection()
export default list

const NONE = 'otpauth://totp/x?secret=AAAAAAAAAAAAAAAA'

async function enable(browser) {
  const { data } = await browser.call('twoFactor.enable', { password: PASSWORD })
  const uri = data?.totpURI ?? NONE
  await browser.call('twoFactor.verifyTotp', 'first code', { code: totp(uri) })
  return { uri, codes: data?.backupCodes ?? ['none', 'none', 'none'] }
}

add('an authenticator app', 'main', async (s) => {
  const anna = await enter(s, 'anna.totp')
  await s.browser().call('twoFactor.enable', 'nobody', { password: PASSWORD })
  await anna.call('twoFactor.enable', 'wrong password', { password: 'wrong-password' })
  await anna.post('nothing', '/two-factor/enable', {})
  await anna.call('twoFactor.getTotpUri', 'not on', { password: PASSWORD })
  await anna.call('twoFactor.generateBackupCodes', 'not on', { password: PASSWORD })
  const { data } = await anna.call('twoFactor.enable', { password: PASSWORD })
  const uri = data?.totpURI ?? NONE
  await anna.call('getSession', 'not on before the first code')
  await anna.call('twoFactor.verifyTotp', 'wrong code', { code: wrongTotp(uri) })
  await anna.call('twoFactor.verifyTotp', 'first code', { code: totp(uri) })
  await anna.call('getSession', 'on')
  await anna.call('twoFactor.enable', 'on already', { password: PASSWORD })
  await anna.call('twoFactor.getTotpUri', { password: PASSWORD })
  await anna.call('twoFactor.getTotpUri', 'wrong password', { password: 'wrong-password' })
})

add('signing in with two factors', 'main', async (s) => {
  const anna = await enter(s, 'anna.second')
  const { uri, codes } = await enable(anna)
  const other = s.browser()
  await signIn(other, anna.email)
  await other.call('getSession', 'between the factors')
  await other.call('twoFactor.verifyTotp', 'wrong', { code: wrongTotp(uri) })
  await other.call('twoFactor.verifyTotp', 'short', { code: '12' })
  await other.post('nothing', '/two-factor/verify-totp', {})
  await other.call('twoFactor.verifyTotp', 'right', { code: totp(uri, 1) })
  await other.call('getSession', 'in')
  const nobody = s.browser()
  await nobody.call('twoFactor.verifyTotp', 'nobody', { code: totp(uri) })
  await nobody.call('twoFactor.sendOtp', 'nobody')
  await nobody.call('twoFactor.verifyOtp', 'nobody', { code: '123456' })
  await nobody.call('twoFactor.verifyBackupCode', 'nobody', { code: codes[0] })
  const third = s.browser()
  await signIn(third, anna.email)
  await third.call('twoFactor.verifyBackupCode', 'wrong', { code: 'aaaaa-bbbbb' })
  await third.call('twoFactor.verifyBackupCode', 'right', { code: codes[0] })
  const fourth = s.browser()
  await signIn(fourth, anna.email)
  await fourth.call('twoFactor.verifyBackupCode', 'used', { code: codes[0] })
  await fourth.call('twoFactor.verifyBackupCode', 'another, no session', { code: codes[1], disableSession: true })
  await fourth.call('getSession', 'no session')
  await s.browser().post('not remembered', '/sign-in/email', { email: anna.email, password: PASSWORD, rememberMe: false })
})

add('codes by mail as second factor', 'main', async (s) => {
  const anna = await enter(s, 'anna.mailcode')
  await enable(anna)
  const other = s.browser()
  await signIn(other, anna.email)
  await other.call('twoFactor.verifyOtp', 'none sent yet', { code: '123456' })
  await other.call('twoFactor.sendOtp')
  const letter = await s.mail(anna.email)
  const right = letter?.code ?? '123456'
  const wrong = right === '000000' ? '111111' : '000000'
  await other.call('twoFactor.verifyOtp', 'wrong', { code: wrong })
  await other.call('twoFactor.verifyOtp', 'right', { code: right })
  await other.call('getSession')
  const third = s.browser()
  await signIn(third, anna.email)
  await third.call('twoFactor.sendOtp')
  await s.mail(anna.email)
  for (const turn of [1, 2, 3, 4, 5, 6]) await third.call('twoFactor.verifyOtp', `wrong ${turn}`, { code: 'abcdef' })
})

add('a trusted device', 'main', async (s) => {
  const anna = await enter(s, 'anna.trust')
  const { uri } = await enable(anna)
  const other = s.browser()
  await signIn(other, anna.email)
  await other.call('twoFactor.verifyTotp', { code: totp(uri, 1), trustDevice: true })
  await other.call('signOut')
  await signIn(other, anna.email, PASSWORD, 'no second factor')
  await other.call('getSession')
  await other.call('signOut')
  await signIn(s.browser(), anna.email, PASSWORD, 'another device')
  const forged = s.browser()
  await forged.post('a forged mark', '/sign-in/email', { email: anna.email, password: PASSWORD }, { cookie: 'better-auth.trust_device=forged.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D' })
})

add('backup codes and the end of two factors', 'main', async (s) => {
  const anna = await enter(s, 'anna.backup')
  const { codes } = await enable(anna)
  await anna.call('twoFactor.generateBackupCodes', 'wrong password', { password: 'wrong-password' })
  const { data } = await anna.call('twoFactor.generateBackupCodes', { password: PASSWORD })
  const other = s.browser()
  await signIn(other, anna.email)
  await other.call('twoFactor.verifyBackupCode', 'an old one', { code: codes[0] })
  await other.call('twoFactor.verifyBackupCode', 'a new one', { code: data?.backupCodes?.[0] ?? 'none' })
  await other.call('twoFactor.disable', 'wrong password', { password: 'wrong-password' })
  await other.call('twoFactor.disable', { password: PASSWORD })
  await other.call('getSession', 'off')
  await signIn(s.browser(), anna.email, PASSWORD, 'one factor')
  await s.browser().call('twoFactor.disable', 'nobody', { password: PASSWORD })
})

add('too many wrong second factors', 'main', async (s) => {
  const anna = await enter(s, 'anna.lock')
  const { uri } = await enable(anna)
  const wrong = wrongTotp(uri)
  for (const turn of [1, 2, 3]) {
    const other = s.browser()
    await signIn(other, anna.email, PASSWORD, `turn ${turn}`)
    for (const code of [1, 2, 3, 4]) await other.call('twoFactor.verifyTotp', `wrong ${turn}.${code}`, { code: wrong })
  }
  const last = s.browser()
  await signIn(last, anna.email, PASSWORD, 'locked')
  await last.call('twoFactor.verifyTotp', 'right, but locked', { code: totp(uri, 1) })
})
