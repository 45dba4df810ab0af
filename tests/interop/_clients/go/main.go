// libsql-client-go: interop URL TOKEN
package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"github.com/tursodatabase/libsql-client-go/libsql"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func open(url string, options ...libsql.Option) *sql.DB {
	connector, err := libsql.NewConnector(url, options...)
	must(err)
	return sql.OpenDB(connector)
}

func text(err error) string {
	if err == nil {
		return "none"
	}
	return err.Error()
}

func main() {
	url, token := os.Args[1], os.Args[2]
	ctx := context.Background()
	db := open(url, libsql.WithAuthToken(token))
	facts := map[string]any{}
	count := func() (n int) {
		must(db.QueryRowContext(ctx, "select count(*) from t").Scan(&n))
		return n
	}
	exec := func(query string, args ...any) error {
		_, err := db.ExecContext(ctx, query, args...)
		return err
	}
	must(exec("create table t(id integer primary key, x unique)"))
	must(exec("create table v(a, b, c, d, e)"))
	must(exec("insert into v values (?, ?, ?, ?, ?)", nil, int64(9007199254740993), 1.5, "é", []byte{0, 255}))
	var a any
	var b int64
	var c float64
	var d string
	var e []byte
	must(db.QueryRowContext(ctx, "select * from v").Scan(&a, &b, &c, &d, &e))
	facts["values"] = []any{a, fmt.Sprint(b), c, d, hex.EncodeToString(e)}

	result, err := db.ExecContext(ctx, "insert into t(x) values (:x)", sql.Named("x", "a"))
	must(err)
	facts["changes"], _ = result.RowsAffected()
	rowid, _ := result.LastInsertId()
	facts["rowid"] = fmt.Sprint(rowid)
	facts["several"] = text(exec("insert into t(x) values ('b'); insert into t(x) values ('c')"))
	if facts["several"] != "none" { // over WebSocket it sends them as one statement
		must(exec("insert into t(x) values ('b')"))
		must(exec("insert into t(x) values ('c')"))
	}
	facts["batch"] = count()

	good, err := db.BeginTx(ctx, nil)
	must(err)
	_, err = good.ExecContext(ctx, "insert into t(x) values (?)", "e")
	must(err)
	must(good.Commit())
	facts["commit"] = count()
	bad, err := db.BeginTx(ctx, nil)
	must(err)
	_, err = bad.ExecContext(ctx, "insert into t(x) values (?)", "f")
	must(err)
	must(bad.Rollback())
	facts["rollback"] = count()

	prepared, err := db.PrepareContext(ctx, "select x from t where id = ?")
	must(err)
	var x string
	must(prepared.QueryRowContext(ctx, 1).Scan(&x))
	must(prepared.Close())
	facts["prepared"] = x
	facts["errors"] = map[string]string{
		"unique":  text(exec("insert into t(x) values ('a')")),
		"syntax":  text(exec("selec")),
		"missing": text(exec("select * from nope")),
	}
	var wait sync.WaitGroup
	sums := make(chan int, 20)
	for i := 0; i < 20; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			var n int
			must(db.QueryRowContext(ctx, "select ? + 0", i).Scan(&n))
			sums <- n
		}()
	}
	wait.Wait()
	close(sums)
	total := 0
	for n := range sums {
		total += n
	}
	facts["concurrent"] = total
	db.Close() // an error over WebSocket: the real server drops the connection without a word

	stranger := open(url)
	facts["refused"] = text(stranger.QueryRowContext(ctx, "select 1").Scan(new(int)))
	stranger.Close()
	must(json.NewEncoder(os.Stdout).Encode(facts))
}
