// Package signals computes what kind of trade the positions of the universe
// allow: values in, values out. It knows no clock, no database and no log; the
// engine below it brings the values and keeps the results.
//
// The way of a boundary through this package: the clean rows of a wallet's
// window become its effective size (Effective, with ε from Epsilon); the sizes
// of this boundary and of the one before become classes and a deviation (Count);
// these become four numbers, and the numbers a playbook (Compute, through the
// gates G1 to G6). No price enters anywhere.
package signals
