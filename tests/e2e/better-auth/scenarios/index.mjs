// All scenarios in the order in which they are played.

const files = ['entry', 'session', 'origin', 'letters', 'user', 'oauth', 'accounts', 'two-factor', 'passkey', 'organization', 'admin', 'codes', 'small', 'limits']

export const scenarios = []
for (const file of files) {
  const { default: list } = await import(`./${file}.mjs`)
  scenarios.push(...list)
}
