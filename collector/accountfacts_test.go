package collector

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// What operators see of the accounts is what the minutes go by, whoever claims whom.
func TestAccountFactsAreWhatIsRead(t *testing.T) {
	db := pgtest.New(t)
	pgtest.SetClock(t, db, noon.Format(time.RFC3339))
	r := rand.New(rand.NewPCG(1, 2))
	tooMany := 0
	for round := range 150 {
		exec(t, db, "DELETE FROM wallet_accounts")
		exec(t, db, "DELETE FROM wallet_universe_current")
		n := 2 + r.IntN(20)
		exec(t, db, "INSERT INTO wallet_universe_current (wallet_id, rank, month_pnl, as_of_ts, account_value) SELECT '0x' || lpad(to_hex(i), 40, '0'), i, 0, $2, 1000 FROM generate_series(1, $1::integer) i", n, noon)
		claims := r.Float64() * 0.4
		for i := 1; i <= n+2; i++ { // two have left
			subs := []string{}
			for r.Float64() < claims {
				other := wallet(1 + r.IntN(n))
				if r.IntN(3) == 0 {
					other = sub(1+r.IntN(n), 1)
				}
				subs = append(subs, other)
			}
			if r.IntN(12) > 0 {
				age := time.Duration(r.IntN(26)) * time.Hour
				exec(t, db, "INSERT INTO wallet_accounts (wallet_id, sub_accounts, checked_at) SELECT $1, ARRAY(SELECT DISTINCT unnest($2::text[]) ORDER BY 1), $3", wallet(i), subs, noon.Add(-age))
			}
		}
		wallets, _, err := NewStore(db).Tracked(t.Context(), noon)
		if err != nil {
			t.Fatal(err)
		}
		reasons := map[string]int{}
		for i := range wallets {
			reasons[wallets[i].Unreadable]++
		}
		if reasons[reasonAccountsShared]*2 > n {
			tooMany++
		}
		want := fmt.Sprint(len(wallets), reasons[""], reasons[reasonAccountsShared])
		same(t, fmt.Sprintf("round %d of %d wallets", round, n), list(t, db, "SELECT concat_ws(' ', wallets, known, shared) FROM facts.accounts"), want)
	}
	if tooMany == 0 {
		t.Error("no universe claims too much of itself")
	}
}
