// Package alerting decides when to speak. There are three alerts: a playbook
// that has changed, wallets that reduce together, and data that can no longer be
// trusted. The decisions are pure: values in, values out, with time as an
// argument; what is written and sent of them is the business of the packages
// below this one.
package alerting
