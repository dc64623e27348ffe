package main

import (
	"strings"
	"testing"

	"github.com/whalegate/whalegate/alerting/receiver"
)

func TestTheDemoSaysWhoIsToldOfAlerts(t *testing.T) {
	for _, tt := range []struct {
		receivers  []string
		want, lack string
	}{
		{[]string{receiver.LogName}, "sent to nobody; --receivers.file", "sent to log"},
		{[]string{"phone"}, "sent to phone", "nobody"},
		{[]string{"phone", "mail"}, "sent to phone, mail", "nobody"},
	} {
		got := (&service{receivers: tt.receivers}).announceReceivers()
		if !strings.Contains(got, tt.want) || strings.Contains(got, tt.lack) {
			t.Errorf("%v: %q", tt.receivers, got)
		}
	}
}
