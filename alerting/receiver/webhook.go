package receiver

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/common/model"
)

// webhook posts Alertmanager's webhook body, version 4, so that whatever takes
// that takes ours.
type webhook struct {
	poster
	receiver string
	external string // where the board is; "" when nobody said
	key      []byte // of the signature; nil: not signed
}

// Headers of a webhook beside the usual ones.
const (
	keyHeader       = "Idempotency-Key"       // the same whenever the message is sent again
	signatureHeader = "X-Whalegate-Signature" // sha256=HEX, the HMAC of the body
)

// body has the fields of Alertmanager's template data, by their JSON names.
type body struct {
	Receiver          string         `json:"receiver"`
	Status            string         `json:"status"`
	Alerts            []bodyAlert    `json:"alerts"`
	GroupLabels       model.LabelSet `json:"groupLabels"`
	CommonLabels      model.LabelSet `json:"commonLabels"`
	CommonAnnotations model.LabelSet `json:"commonAnnotations"`
	ExternalURL       string         `json:"externalURL"`
	Version           string         `json:"version"`
	GroupKey          string         `json:"groupKey"`
	TruncatedAlerts   uint64         `json:"truncatedAlerts"`
}

type bodyAlert struct {
	Status       string         `json:"status"`
	Labels       model.LabelSet `json:"labels"`
	Annotations  model.LabelSet `json:"annotations"`
	StartsAt     time.Time      `json:"startsAt"`
	EndsAt       time.Time      `json:"endsAt"` // the zero time while it has not ended, as Alertmanager has it
	GeneratorURL string         `json:"generatorURL"`
	Fingerprint  string         `json:"fingerprint"`
}

// webhookBody is one notification as a group of its own: messages are rare, and
// each is one decision.
func webhookBody(n Notification, receiver, external string) body {
	status := string(model.AlertFiring)
	if n.Kind == Resolved {
		status = string(model.AlertResolved)
	}
	labels, annotations := n.Labels(), n.Annotations()
	group := model.LabelSet{model.AlertNameLabel: labels[model.AlertNameLabel], "asset": labels["asset"]}
	return body{
		Receiver: receiver, Status: status, GroupLabels: group, CommonLabels: labels, CommonAnnotations: annotations, ExternalURL: external, Version: "4",
		GroupKey: "{}:" + group.String(),
		Alerts: []bodyAlert{{
			Status: status, Labels: labels, Annotations: annotations, StartsAt: n.StartsAt.UTC(), EndsAt: n.EndsAt.UTC(), GeneratorURL: external, Fingerprint: n.Fingerprint(),
		}},
	}
}

// Send posts the notification.
func (w *webhook) Send(ctx context.Context, n Notification) Result {
	text, err := json.Marshal(webhookBody(n, w.receiver, w.external))
	if err != nil {
		return Result{Outcome: Failed, Err: fmt.Errorf("write the body: %w", err)}
	}
	header := http.Header{keyHeader: {n.Key.String()}}
	if w.key != nil {
		mac := hmac.New(sha256.New, w.key)
		mac.Write(text)
		header[signatureHeader] = []string{"sha256=" + hex.EncodeToString(mac.Sum(nil))}
	}
	return w.post(ctx, text, header)
}
