-- An alert is what a period says of an asset: evaluating the period again cannot
-- make a second one.
CREATE UNIQUE INDEX alerts_once ON alerts (timestamp, asset, alert_type);
