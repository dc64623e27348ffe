package collector

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/threshold"
)

// Member is a tracked wallet with its standing on the leaderboard.
type Member struct {
	Wallet       string `json:"wallet_id"`
	Rank         int    `json:"rank"` // 1 is the highest PnL of 30 days
	MonthPnL     string `json:"month_pnl"`
	MonthROI     string `json:"month_roi"`     // "" when unreadable
	AccountValue string `json:"account_value"` // "" when unreadable
}

// Members ranks the leading entries of the leaderboard, which come sorted.
func Members(entries []hyperliquid.Entry) []Member {
	members := make([]Member, len(entries))
	for i, e := range entries {
		members[i] = Member{Wallet: e.Wallet, Rank: i + 1, MonthPnL: e.MonthPnL, MonthROI: e.MonthROI, AccountValue: e.AccountValue}
	}
	return members
}

// CheckError is a universe that was refused, and the check that refused it.
type CheckError struct {
	Check  string // U1 … U6
	Reason string
}

func (e *CheckError) Error() string { return e.Check + ": " + e.Reason }

const (
	minReceivedShare = threshold.ReceivedFew / 100.0
	maxChurnPct      = float64(threshold.ChurnHigh)
	maxChurnWarnings = threshold.ChurnRefused
	leadersLooked    = 200                 // of the first ranks U6 looks at no more
	maxWithoutPnLPct = 10.0                // of those may have none
	maxUnchanged     = threshold.BoardSame // the leaderboard changes about hourly (U7)
)

var walletID = regexp.MustCompile(`^0x[0-9a-f]{40}$`)

// CheckMembers applies U1 to U4 and U6. The error is a *CheckError.
func CheckMembers(members []Member, requested int) error {
	if len(members) == 0 {
		return &CheckError{"U1", "the leaderboard gave no wallet"}
	}
	if need := minReceivedShare * float64(requested); float64(len(members)) < need {
		return &CheckError{"U2", fmt.Sprintf("the leaderboard gave %d wallets, at least %.0f of %d are needed", len(members), need, requested)}
	}
	ranks := make(map[int]bool, len(members))
	wallets := make(map[string]bool, len(members))
	for _, m := range members {
		if m.Rank < 1 || m.Rank > len(members) || ranks[m.Rank] {
			return &CheckError{"U3", fmt.Sprintf("rank %d is outside 1..%d or taken twice", m.Rank, len(members))}
		}
		ranks[m.Rank] = true
	}
	for _, m := range members {
		if !walletID.MatchString(m.Wallet) {
			return &CheckError{"U4", fmt.Sprintf("wallet id %.60q is not 0x and 40 lower-case hex digits", m.Wallet)}
		}
		if wallets[m.Wallet] {
			return &CheckError{"U4", fmt.Sprintf("wallet %s stands on the leaderboard twice", m.Wallet)}
		}
		wallets[m.Wallet] = true
	}
	return checkPnL(leading(members, leadersLooked))
}

// checkPnL is U6: a leaderboard whose first rows have no PnL ranks nobody.
func checkPnL(leaders []Member) error {
	without := 0
	for _, m := range leaders {
		if strings.Trim(m.MonthPnL, "-+0.") == "" {
			without++
		}
	}
	if percent(without, len(leaders)) > maxWithoutPnLPct {
		return &CheckError{"U6", fmt.Sprintf("%d of the first %d wallets have no PnL of the month", without, len(leaders))}
	}
	return nil
}

// Churn is how a universe differs from the one before it.
type Churn struct {
	Entered, Exited int
	Pct             float64 // of the requested size
	Warnings        int     // runs in a row above the limit, this one included
}

// CheckChurn applies U5: above 30 % is a warning, the third in a row a
// *CheckError. warnings is the count of the run before. A first universe, with
// nothing before it, has no churn.
func CheckChurn(before, members []Member, requested, warnings int) (Churn, error) {
	if len(before) == 0 {
		return Churn{}, nil
	}
	was := make(map[string]bool, len(before))
	for _, m := range before {
		was[m.Wallet] = true
	}
	churn := Churn{Exited: len(before)}
	for _, m := range members {
		if was[m.Wallet] {
			churn.Exited--
		} else {
			churn.Entered++
		}
	}
	churn.Pct = percent(churn.Entered+churn.Exited, requested)
	if churn.Pct <= maxChurnPct {
		return churn, nil
	}
	churn.Warnings = warnings + 1
	if churn.Warnings >= maxChurnWarnings {
		return churn, &CheckError{"U5", fmt.Sprintf("churn of %.1f %% is above %.0f %%, %d times in a row", churn.Pct, maxChurnPct, churn.Warnings)}
	}
	return churn, nil
}

// leading are the members down to a rank. When the size of the universe was
// changed, only the ranks that both sizes have can be compared.
func leading(members []Member, rank int) []Member {
	return members[:min(rank, len(members))]
}
