// Package sqlite3 stands in for github.com/mattn/go-sqlite3, which gorm.io/driver/sqlite imports for its side effect only.
// We run modernc.org/sqlite; without this stub every build with cgo (go test -race) would compile a second SQLite in C.
package sqlite3
