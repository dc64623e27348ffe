package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/signals/series"
)

// minuteOf and timeOf go between a time and the minute that it lies in.
func minuteOf(t time.Time) series.Minute { return series.Minute(t.Unix() / 60) }

func timeOf(m series.Minute) time.Time { return time.Unix(int64(m)*60, 0).UTC() }

// epoch2000 is where PostgreSQL counts from, in minutes since 1970.
const epoch2000 = 946_684_800 / 60

// loadTimeout bounds the reading of an hour of rows: 50,000 wallets have nine
// million of them.
const loadTimeout = 2 * time.Minute

var errLoadTimeout = fmt.Errorf("the database did not give the rows within %s", loadTimeout)

const selectRows = `
	SELECT timestamp, wallet_id, asset, position_szi
	FROM wallet_snapshots
	WHERE timestamp >= $1 AND timestamp <= $2
	ORDER BY timestamp`

// The formats that the columns are read in: the time as a binary number, the
// rest as text, which is what their binary form is, or the cheaper one.
var rowFormats = []int16{1, 0, 0, 0}

// readRows gives every row of the minutes from first to last, in order of time.
// The wallet is only valid during the call. It reads the protocol directly: a
// day of 200 wallets is 864,000 rows, and a value of any type a column would
// cost more than the rest of the work.
func readRows(ctx context.Context, conn *pgconn.PgConn, first, last series.Minute, take func(m series.Minute, wallet []byte, a asset.Asset, v series.Value)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, loadTimeout, errLoadTimeout)
	defer cancel()
	param := func(m series.Minute) []byte { return []byte(timeOf(m).Format(time.RFC3339)) }
	result := conn.ExecParams(ctx, selectRows, [][]byte{param(first), param(last)}, nil, nil, rowFormats)
	var malformed error
	for result.NextRow() {
		row := result.Values()
		a, err := parseAsset(row[2])
		if err != nil || len(row[0]) != 8 {
			malformed = errors.Join(errors.New("a row that is none of ours"), err)
			continue
		}
		const perMinute = 60_000_000 // microseconds
		m := series.Minute(int64(binary.BigEndian.Uint64(row[0]))/perMinute + epoch2000)
		take(m, row[1], a, parseValue(row[3], a))
	}
	_, err := result.Close()
	if err == nil {
		err = malformed
	}
	return postgres.Because(ctx, "read snapshot rows", err)
}

func parseAsset(name []byte) (asset.Asset, error) {
	for _, a := range asset.All {
		if a.String() == string(name) {
			return a, nil
		}
	}
	return 0, fmt.Errorf("asset %q", name)
}

// parseValue reads a stored size. What cannot be one (a hand can store NaN) says
// as little as NULL.
func parseValue(text []byte, a asset.Asset) series.Value {
	if text == nil {
		return series.Null
	}
	size, err := asset.ParseSize(string(text), a)
	if err != nil || !series.Value(size).IsSize() {
		return series.Null
	}
	return series.Value(size)
}
