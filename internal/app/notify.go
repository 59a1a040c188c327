package app

import (
	"context"
	"fmt"
	"time"

	"consentsync/internal/notify"
	"consentsync/internal/outbound"
)

// lateWithdrawal is after what time a withdrawal that is not in effect is told
// of.
const lateWithdrawal = time.Minute

// notifier tells of the few things that cannot wait, if anybody wants to know.
func (a *App) notifier() *notify.Notifier {
	// The address is the operator's own.
	n := notify.New(a.cfg.Notify, outbound.New(outbound.Options{AllowPrivateNetworks: true, UserAgent: "consentsync", Timeout: 15 * time.Second}))
	n.Node, n.Wrong, n.Now, n.Log = a.cfg.plainName(), a.health.wrong, time.Now, a.log
	return n
}

// wrong tells what somebody has to look at.
func (h *health) wrong(ctx context.Context) (found []notify.Condition) {
	state := h.delivery()
	if state.Withdrawal > lateWithdrawal {
		found = append(found, notify.Condition{
			Name: "withdrawal_late", Text: fmt.Sprintf("The oldest withdrawal that is not in effect in Actito waits since %v.", state.Withdrawal.Round(time.Second)),
		})
	}
	if state.Suspended > 0 {
		found = append(found, notify.Condition{
			Name: "integration_suspended", Text: fmt.Sprintf("%d integrations are suspended; the reason stands in the console.", state.Suspended),
		})
	}
	if text := h.database(ctx); text != well {
		found = append(found, notify.Condition{Name: "database", Text: "The database: " + text + ". No webhook is accepted."})
	}
	if h.disk != nil {
		if text := h.room(); text != well {
			found = append(found, notify.Condition{Name: "disk", Text: "The disk of the data directory: " + text + "."})
		}
	}
	return found
}
