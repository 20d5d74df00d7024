// Databases on disk for the real better-auth: SQLite without a native module, and PostgreSQL. With migrations of its own.

/** What kysely's SQLite dialect wants of a database, over SQLite in WebAssembly. */
function sqliteFile({ Sqlite }, file) {
  const db = new Sqlite(file)
  db.exec('PRAGMA foreign_keys = ON')
  return {
    db,
    close: () => db.close(),
    prepare: (statement) => ({
      reader: /^\s*(select|pragma|with)\b|\breturning\b/i.test(statement),
      all: (values) => db.all(statement, [...values]),
      run: (values) => {
        const { changes, lastInsertRowId } = db.run(statement, [...values])
        return { changes, lastInsertRowid: lastInsertRowId }
      },
    }),
  }
}

/**
 * `{ database, end }` for better-auth's `database` option. `place` is the path of an SQLite file, or the URL of a database of
 * PostgreSQL; `packages` those of `./v17/databases.mjs`.
 */
export function openDatabase(packages, place) {
  if (place.startsWith('postgres')) {
    const pool = new packages.Pool({ connectionString: place, max: 2 })
    return { database: pool, end: () => pool.end() }
  }
  const file = sqliteFile(packages, place)
  return { database: { dialect: new packages.SqliteDialect({ database: file }), type: 'sqlite' }, end: async () => file.close() }
}
