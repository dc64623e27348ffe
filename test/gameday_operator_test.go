package test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres/server"
)

// carryOut runs a command that the finding tells, as an administrator of the
// database would at a terminal. It begins as told here; of what stands in it for
// the operator's own words, each is given after what it replaces.
func (g *gameday) carryOut(d diagnosis, command string, words ...string) error {
	g.Helper()
	action := g.actionOf(d, command)
	if g.terminal == nil {
		g.terminal = newOperator(g.world)
	}
	o := g.terminal
	o.env = append(o.env, "DATABASE_URL="+g.pg.URL(server.Superuser, dbName), "WHALEGATE_SERVICE_URL="+g.address)
	out, err := o.run(g.Context(), "", strings.NewReplacer(words...).Replace(action.Command))
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// open is how many rows of the decision surface the board's role can read.
func (g *gameday) open() int {
	g.Helper()
	conn, err := pgx.Connect(g.Context(), g.pg.URL("whalegate_board", dbName))
	must(g, err)
	defer conn.Close(context.WithoutCancel(g.Context()))
	var rows int
	must(g, conn.QueryRow(g.Context(), surface).Scan(&rows))
	return rows
}

// awaitOpen waits until there is something on the boards that could be masked.
func (g *gameday) awaitOpen() {
	g.Helper()
	await(g, "something on the boards", func() error {
		if g.open() == 0 {
			return errors.New("nothing yet")
		}
		return nil
	})
}

// awaitAnnounced waits until so many outages have been announced to the mailbox.
func (g *gameday) awaitAnnounced(outages int) {
	g.Helper()
	await(g, "the outage to be announced", func() error {
		n := 0
		for _, name := range g.mail.names() {
			if name == fired {
				n++
			}
		}
		return differs(n, outages)
	})
}
