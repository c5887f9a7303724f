"""The operator's page: what it shows of the running graph, and what it may ask of it. Imports no ROS.

`scene` turns what the arm and the policy say into numbers to plot and lines to draw, `picture` packs a camera's picture
with its lines, `overview` and `log` sum up what the nodes say of themselves, `wire` reads what a page sends, `console`
decides who may do what, and `server` brings it all to the browsers. STOP takes a way of its own: it waits for nothing.
"""
