"""Results -> charts as specifications of Vega and Vega-Lite."""
