"""The table of known formats; a further format is one row here, and its test.

Columns are those of the publishers' data dictionaries, which each row names. Names are compared by
`normal_name`, so "Trip Start Timestamp" stands for "trip_start_timestamp", too. The first format
that fits a file counts, so special ones stand before general ones.
"""

from typing import Final

from producer.formats.trip_format import (
    FIELDS,
    Column,
    DateAndTime,
    Points,
    ServiceArea,
    Total,
    Track,
    TripFormat,
    column,
)

_NEW_YORK: Final = "America/New_York"
_CHICAGO: Final = "America/Chicago"
_LOS_ANGELES: Final = "America/Los_Angeles"

_BIKESHARE_AREAS: Final = (
    ServiceArea("Divvy, Chicago", 41.88, -87.63, _CHICAGO),
    ServiceArea("Citi Bike, New York", 40.73, -73.98, _NEW_YORK),
    ServiceArea("Capital Bikeshare, Washington", 38.90, -77.03, _NEW_YORK),
    ServiceArea("Bay Wheels, San Francisco", 37.77, -122.42, _LOS_ANGELES),
    ServiceArea("Bay Wheels, San Jose", 37.33, -121.89, _LOS_ANGELES),
    ServiceArea("Bluebikes, Boston", 42.36, -71.07, _NEW_YORK),
    ServiceArea("CoGo, Columbus", 39.97, -83.00, _NEW_YORK),
    ServiceArea("BIKETOWN, Portland", 45.52, -122.67, _LOS_ANGELES),
    ServiceArea("Nice Ride, Minneapolis", 44.98, -93.27, _CHICAGO),
)

_INDEGO_AREAS: Final = (
    ServiceArea("Indego, Philadelphia", 39.95, -75.16, _NEW_YORK),
    ServiceArea("Metro Bike Share, Los Angeles", 34.05, -118.25, _LOS_ANGELES),
)

_LOUISVILLE_AREAS: Final = (
    ServiceArea("Louisville", 38.25, -85.76, "America/Kentucky/Louisville"),
    ServiceArea("Kansas City", 39.10, -94.58, _CHICAGO),
)

_TLC_ZONES: Final = {
    "start_location_id": column("PULocationID", "pickup_location_id"),
    "end_location_id": column("DOLocationID", "dropoff_location_id"),
}

# What TLC gave out on request in 2014, before it published records: "trip_data" of 2010 to 2013.
_NYC_MEDALLIONS: Final = TripFormat(
    name="nyc-medallions",
    title="NYC yellow taxi trips of 2010 to 2013 with medallions",
    recognised_by=[("medallion", "hack_license", "pickup_datetime", "trip_time_in_secs")],
    fields={
        "driver_id": column("hack_license"),
        "start_time": column("pickup_datetime"),
        "end_time": column("dropoff_datetime"),
        "start_lat": column("pickup_latitude"),
        "start_lng": column("pickup_longitude"),
        "end_lat": column("dropoff_latitude"),
        "end_lng": column("dropoff_longitude"),
        "duration_min": column("trip_time_in_secs"),
        "distance_km": column("trip_distance"),
        "price": column("total_amount"),
    },
    timezone=_NEW_YORK,
    duration_unit="s",
    distance_unit="mi",
    currency="USD",
    vehicle_type="yellow_taxi",
    ids="hack_license is the driver; the medallion is a vehicle",
)

# nyc.gov/site/tlc/about/tlc-trip-record-data.page: "Data Dictionary - Yellow Taxi Trip Records".
# Until June 2016 records had coordinates, and until 2014 other names, as they have in BigQuery and
# in "New York City Taxi Trip Duration", which has neither distance nor price.
_NYC_YELLOW: Final = TripFormat(
    name="nyc-yellow",
    title="NYC TLC yellow taxi trip records",
    recognised_by=[
        ("tpep_pickup_datetime", "tpep_dropoff_datetime"),
        ("vendor_name", "Trip_Pickup_DateTime", "Trip_Dropoff_DateTime"),
        ("vendor_id", "pickup_datetime", "dropoff_datetime", "trip_distance", "total_amount"),
        ("id", "vendor_id", "pickup_datetime", "dropoff_datetime", "trip_duration"),
    ],
    fields={
        **_TLC_ZONES,
        "start_time": column("tpep_pickup_datetime", "Trip_Pickup_DateTime", "pickup_datetime"),
        "end_time": column("tpep_dropoff_datetime", "Trip_Dropoff_DateTime", "dropoff_datetime"),
        "start_lat": column("pickup_latitude", "Start_Lat"),
        "start_lng": column("pickup_longitude", "Start_Lon"),
        "end_lat": column("dropoff_latitude", "End_Lat"),
        "end_lng": column("dropoff_longitude", "End_Lon"),
        "distance_km": column("trip_distance"),
        "price": column("total_amount", "Total_Amt"),
    },
    timezone=_NEW_YORK,
    distance_unit="mi",
    currency="USD",
    vehicle_type="yellow_taxi",
)

# As above: "Data Dictionary - LPEP Trip Records". In BigQuery they have the names of yellow taxis,
# which have no `trip_type`.
_NYC_GREEN: Final = TripFormat(
    name="nyc-green",
    title="NYC TLC green taxi trip records",
    recognised_by=[
        ("lpep_pickup_datetime", "lpep_dropoff_datetime"),
        ("vendor_id", "pickup_datetime", "dropoff_datetime", "trip_distance", "trip_type"),
    ],
    fields={
        **_TLC_ZONES,
        "start_time": column("lpep_pickup_datetime", "pickup_datetime"),
        "end_time": column("lpep_dropoff_datetime", "dropoff_datetime"),
        "start_lat": column("Pickup_latitude"),
        "start_lng": column("Pickup_longitude"),
        "end_lat": column("Dropoff_latitude"),
        "end_lng": column("Dropoff_longitude"),
        "distance_km": column("trip_distance"),
        "price": column("total_amount"),
    },
    timezone=_NEW_YORK,
    distance_unit="mi",
    currency="USD",
    vehicle_type="green_taxi",
)

# As above: "Data Dictionary - High Volume FHV Trip Records". The records have no total: it is the
# sum of what a passenger pays, as `total_amount` of yellow taxis is. As CSV, until 2021, they had
# neither distance nor price.
_NYC_HVFHV: Final = TripFormat(
    name="nyc-hvfhv",
    title="NYC TLC high-volume for-hire vehicle trip records",
    recognised_by=[("hvfhs_license_num", "pickup_datetime")],
    fields={
        **_TLC_ZONES,
        "start_time": column("pickup_datetime"),
        "end_time": column("dropoff_datetime"),
        "duration_min": column("trip_time"),
        "distance_km": column("trip_miles"),
        "price": Total(
            column("base_passenger_fare"),
            (
                column("tolls"),
                column("bcf"),
                column("sales_tax"),
                column("congestion_surcharge"),
                column("airport_fee"),
                column("cbd_congestion_fee"),
                column("tips"),
            ),
        ),
    },
    timezone=_NEW_YORK,
    duration_unit="s",
    distance_unit="mi",
    currency="USD",
    vehicle_type="ride_hail",
    ids="no ids of drivers or passengers; licence and base numbers are companies",
)

# As above: "Data Dictionary - FHV Trip Records". Neither distance nor price are published, and
# until 2016 no ends either.
_NYC_FHV: Final = TripFormat(
    name="nyc-fhv",
    title="NYC TLC for-hire vehicle trip records",
    recognised_by=[
        ("dispatching_base_num", "pickup_datetime"),
        ("dispatching_base_num", "Pickup_date"),
        ("dispatchBaseNum", "pickupDateTime"),
    ],
    fields={
        "start_location_id": column("PULocationID", "locationID"),
        "end_location_id": column("DOLocationID"),
        "start_time": column("pickup_datetime", "Pickup_date"),
        "end_time": column("dropoff_datetime", "dropOff_datetime"),
    },
    timezone=_NEW_YORK,
    vehicle_type="ride_hail",
    ids="no ids of drivers or passengers; base numbers are companies",
)

_CHICAGO_TRIP: Final = {
    "trip_id": column("Trip ID", "unique_key"),
    "start_time": column("Trip Start Timestamp"),
    "end_time": column("Trip End Timestamp"),
    "start_location_id": column("Pickup Community Area"),
    "end_location_id": column("Dropoff Community Area"),
    "start_lat": column("Pickup Centroid Latitude", "pickup_latitude"),
    "start_lng": column("Pickup Centroid Longitude", "pickup_longitude"),
    "end_lat": column("Dropoff Centroid Latitude", "dropoff_latitude"),
    "end_lng": column("Dropoff Centroid Longitude", "dropoff_longitude"),
    "duration_min": column("Trip Seconds"),
    "distance_km": column("Trip Miles"),
    "price": column("Trip Total"),
}

# data.cityofchicago.org, "Transportation Network Providers - Trips" (m6dm-c72p and later).
_CHICAGO_TNP: Final = TripFormat(
    name="chicago-tnp",
    title="Chicago transportation network provider trips",
    recognised_by=[
        ("Trip Start Timestamp", "Trip Miles", "Additional Charges"),
        ("Trip Start Timestamp", "Trip Miles", "Shared Trip Authorized"),
    ],
    fields=_CHICAGO_TRIP,
    timezone=_CHICAGO,
    duration_unit="s",
    distance_unit="mi",
    currency="USD",
    vehicle_type="ride_hail",
)

# data.cityofchicago.org, "Taxi Trips" (wrvz-psew and later). `Taxi ID` is a taxi.
_CHICAGO_TAXI: Final = TripFormat(
    name="chicago-taxi",
    title="Chicago taxi trips",
    recognised_by=[("Trip Start Timestamp", "Trip Seconds", "Trip Miles")],
    fields=_CHICAGO_TRIP,
    timezone=_CHICAGO,
    duration_unit="s",
    distance_unit="mi",
    currency="USD",
    vehicle_type="taxi",
    ids="no ids of drivers or passengers; the taxi's id is a vehicle",
)

# What the systems of Lyft publish since 2020: "system data" at divvybikes.com, citibikenyc.com,
# capitalbikeshare.com and lyft.com/bikes/bay-wheels. Times are local, and files do not say of which
# system they are: positions do.
_BIKESHARE: Final = TripFormat(
    name="bikeshare",
    title="bike share trips of Divvy, Citi Bike, Capital Bikeshare and Bay Wheels, since 2020",
    recognised_by=[("ride_id", "started_at", "ended_at")],
    fields={
        "trip_id": column("ride_id"),
        "vehicle_type": column("rideable_type"),
        "start_time": column("started_at"),
        "end_time": column("ended_at"),
        "start_location_id": column("start_station_id"),
        "end_location_id": column("end_station_id"),
        "start_lat": column("start_lat"),
        "start_lng": column("start_lng"),
        "end_lat": column("end_lat"),
        "end_lng": column("end_lng"),
    },
    areas=_BIKESHARE_AREAS,
    ids="no ids of riders",
)

_FROM_STATION: Final = {
    "trip_id": column("trip_id", "01 - Rental Details Rental ID"),
    "start_time": column("start_time", "starttime", "01 - Rental Details Local Start Time"),
    "end_time": column("end_time", "stoptime", "01 - Rental Details Local End Time"),
    "start_location_id": column("from_station_id", "03 - Rental Start Station ID"),
    "end_location_id": column("to_station_id", "02 - Rental End Station ID"),
    "start_lat": column("from_latitude"),
    "start_lng": column("from_longitude"),
    "end_lat": column("to_latitude"),
    "end_lng": column("to_longitude"),
    "duration_min": column("tripduration", "01 - Rental Details Duration In Seconds Uncapped"),
}

# divvybikes.com/system-data, until 2019; of these, the second quarter of 2019 has other names. Also
# data.cityofchicago.org, "Divvy Trips" (fg6s-gzvg), with coordinates.
_DIVVY: Final = TripFormat(
    name="divvy",
    title="Divvy bike trips until 2019",
    recognised_by=[
        ("trip_id", "start_time", "end_time", "from_station_id"),
        ("trip_id", "starttime", "stoptime", "from_station_id"),
        ("01 - Rental Details Rental ID", "01 - Rental Details Local Start Time"),
    ],
    values={"from_station_id": "^[0-9]{1,3}$"},
    fields=_FROM_STATION,
    timezone=_CHICAGO,
    duration_unit="s",
    vehicle_type="bike",
    ids="no ids of riders; the bike's id is a vehicle",
)

# data.wprdc.org, "Healthy Ride Trip Data", until 2022: the names of Divvy, and stations from 1000.
_HEALTHY_RIDE: Final = TripFormat(
    name="healthy-ride",
    title="Healthy Ride bike trips, Pittsburgh",
    recognised_by=[("trip_id", "starttime", "stoptime", "from_station_id")],
    values={"from_station_id": "^[0-9]{4,}$"},
    fields=_FROM_STATION,
    timezone=_NEW_YORK,
    duration_unit="s",
    vehicle_type="bike",
    ids="no ids of riders; the bike's id is a vehicle",
)

# "Pronto Cycle Share", Seattle, until 2017: the names of Divvy, and stations such as CBD-06.
_PRONTO: Final = TripFormat(
    name="pronto",
    title="Pronto bike trips, Seattle",
    recognised_by=[("trip_id", "starttime", "stoptime", "from_station_id")],
    values={"from_station_id": "^[A-Z]+-[0-9]+$"},
    fields=_FROM_STATION,
    timezone=_LOS_ANGELES,
    duration_unit="s",
    vehicle_type="bike",
    ids="no ids of riders; the bike's id is a vehicle",
)

_STATION_WITH_PLACE: Final = {
    "start_location_id": column("start station id"),
    "end_location_id": column("end station id"),
    "start_lat": column("start station latitude"),
    "start_lng": column("start station longitude"),
    "end_lat": column("end station latitude"),
    "end_lng": column("end station longitude"),
    "duration_min": column("tripduration"),
}

# citibikenyc.com/system-data and bluebikes.com/system-data, until 2020 and 2023.
_CITI_BIKE: Final = TripFormat(
    name="citibike",
    title="Citi Bike and Bluebikes trips until 2020",
    recognised_by=[("tripduration", "starttime", "stoptime", "start station id")],
    fields={
        **_STATION_WITH_PLACE,
        "start_time": column("starttime"),
        "end_time": column("stoptime"),
    },
    timezone=_NEW_YORK,
    duration_unit="s",
    vehicle_type="bike",
    ids="no ids of riders; the bike's id is a vehicle",
)

# niceridemn.com/data, 2018 and 2019; since 2020 as the others of Lyft.
_NICE_RIDE: Final = TripFormat(
    name="nice-ride",
    title="Nice Ride bike trips of 2018 and 2019, Minneapolis",
    recognised_by=[("tripduration", "start_time", "end_time", "start station id", "bike type")],
    fields={
        **_STATION_WITH_PLACE,
        "start_time": column("start_time"),
        "end_time": column("end_time"),
    },
    timezone=_CHICAGO,
    duration_unit="s",
    vehicle_type="bike",
    ids="no ids of riders; the bike's id is a vehicle",
)

_NUMBERED_STATIONS: Final = {
    "start_time": column("Start date"),
    "end_time": column("End date"),
    "start_location_id": column("Start station number"),
    "end_location_id": column("End station number"),
}

# capitalbikeshare.com/system-data, until March 2020; in its first years with "Duration (ms)".
_CAPITAL: Final = TripFormat(
    name="capital-bikeshare",
    title="Capital Bikeshare trips until 2020",
    recognised_by=[
        ("Duration", "Start date", "End date", "Start station number", "Start station"),
        ("Duration (ms)", "Start date", "End date", "Start station number", "Start station"),
    ],
    fields={**_NUMBERED_STATIONS, "duration_min": column("Duration")},
    timezone=_NEW_YORK,
    duration_unit="s",
    vehicle_type="bike",
    ids="no ids of riders; the bike's number is a vehicle",
)

# s3.amazonaws.com/hubway-data, "hubway_Trips_2011" to 2014: the names of Capital Bikeshare, but for
# those of stations, and milliseconds.
_HUBWAY: Final = TripFormat(
    name="hubway",
    title="Hubway bike trips of 2011 to 2014, Boston",
    recognised_by=[
        ("Duration", "Start date", "End date", "Start station number", "Start station name"),
    ],
    fields={**_NUMBERED_STATIONS, "duration_min": column("Duration")},
    timezone=_NEW_YORK,
    duration_unit="ms",
    vehicle_type="bike",
    ids="no ids of riders; the bike's number is a vehicle",
)

# cycling.data.tfl.gov.uk, "usage-stats", since September 2022.
_SANTANDER_CYCLES: Final = TripFormat(
    name="santander-cycles",
    title="Santander Cycles trips since 2022, London",
    recognised_by=[
        ("Number", "Start date", "End date", "Start station number", "Total duration (ms)")
    ],
    fields={
        **_NUMBERED_STATIONS,
        "trip_id": column("Number"),
        "duration_min": column("Total duration (ms)"),
    },
    timezone="Europe/London",
    duration_unit="ms",
    vehicle_type="bike",
    ids="no ids of riders; the bike's number is a vehicle",
)

# lyft.com/bikes/bay-wheels/system-data, until April 2020: Ford GoBike until 2019, and before it Bay
# Area Bike Share, until 2016, whose stations were terminals.
_BAY_WHEELS: Final = TripFormat(
    name="baywheels",
    title="Bay Wheels (Ford GoBike) trips until 2020",
    recognised_by=[
        ("duration_sec", "start_time", "end_time", "start_station_id", "bike_id"),
        ("Trip ID", "Duration", "Start Date", "Start Terminal", "End Date", "End Terminal"),
        ("id", "Duration", "Start Date", "start_station_id", "End Date", "subscription_type"),
    ],
    fields={
        "trip_id": column("Trip ID"),
        "start_time": column("start_time", "Start Date"),
        "end_time": column("end_time", "End Date"),
        "start_location_id": column("start_station_id", "Start Terminal"),
        "end_location_id": column("end_station_id", "End Terminal"),
        "start_lat": column("start_station_latitude"),
        "start_lng": column("start_station_longitude"),
        "end_lat": column("end_station_latitude"),
        "end_lng": column("end_station_longitude"),
        "duration_min": column("duration_sec", "Duration"),
    },
    timezone=_LOS_ANGELES,
    duration_unit="s",
    vehicle_type="bike",
    ids="no ids of riders; the bike's id is a vehicle",
)

# rideindego.com/about/data and bikeshare.metro.net/about/data. `duration` is in seconds until 2018
# and in minutes since, in files with the same columns: only the times say how long a trip was.
_INDEGO: Final = TripFormat(
    name="indego",
    title="Indego and Metro Bike Share trips, Philadelphia and Los Angeles",
    recognised_by=[("trip_id", "start_time", "end_time", "plan_duration", "passholder_type")],
    fields={
        "trip_id": column("trip_id"),
        "start_time": column("start_time"),
        "end_time": column("end_time"),
        "start_location_id": column("start_station", "start_station_id"),
        "end_location_id": column("end_station", "end_station_id"),
        "start_lat": column("start_lat"),
        "start_lng": column("start_lon"),
        "end_lat": column("end_lat"),
        "end_lng": column("end_lon"),
    },
    areas=_INDEGO_AREAS,
    vehicle_type="bike",
    ids="no ids of riders; the bike's id is a vehicle",
)

# data.austintexas.gov, "Shared Micromobility Vehicle Trips" (7d8e-dm7r): metres and seconds. In
# 2018 with coordinates.
_AUSTIN: Final = TripFormat(
    name="austin-dockless",
    title="Austin shared micromobility vehicle trips",
    recognised_by=[("Device ID", "Vehicle Type", "Trip Duration", "Trip Distance", "Start Time")],
    fields={
        "trip_id": column("ID", "Trip ID"),
        "vehicle_type": column("Vehicle Type"),
        "start_time": column("Start Time"),
        "end_time": column("End Time"),
        "start_location_id": column("Census Tract Start", "Census GEOID Start"),
        "end_location_id": column("Census Tract End", "Census GEOID End"),
        "start_lat": column("Start Latitude"),
        "start_lng": column("Start Longitude"),
        "end_lat": column("End Latitude"),
        "end_lng": column("End Longitude"),
        "duration_min": column("Trip Duration"),
        "distance_km": column("Trip Distance"),
    },
    timezone=_CHICAGO,
    duration_unit="s",
    distance_unit="m",
    ids="no ids of riders; the device's id is a vehicle",
)

# github.com/louisvillemetro-innovation/Dockless-Open-Data: minutes and miles, times in two columns.
# data.kcmo.org, "Microtransit (Scooter and Ebike) Trips" (dy5n-ewk5), has the same columns.
_LOUISVILLE: Final = TripFormat(
    name="louisville-dockless",
    title="dockless vehicle trips of Louisville and Kansas City",
    recognised_by=[("TripID", "StartDate", "StartTime", "TripDuration", "StartLatitude")],
    fields={
        "trip_id": column("TripID"),
        "start_time": DateAndTime(column("StartDate"), column("StartTime")),
        "end_time": DateAndTime(column("EndDate"), column("EndTime")),
        "start_lat": column("StartLatitude"),
        "start_lng": column("StartLongitude"),
        "end_lat": column("EndLatitude"),
        "end_lng": column("EndLongitude"),
        "duration_min": column("TripDuration"),
        "distance_km": column("TripDistance"),
    },
    areas=_LOUISVILLE_AREAS,
    distance_unit="mi",
    ids="no ids of riders or vehicles",
)

# opendata.minneapolismn.gov, "Motorized Foot Scooter Trips": metres and seconds, times in UTC.
_MINNEAPOLIS: Final = TripFormat(
    name="minneapolis-scooter",
    title="Minneapolis motorized foot scooter trips",
    recognised_by=[("TripID", "TripDuration", "TripDistance", "StartTime", "StartCenterlineID")],
    fields={
        "trip_id": column("TripID"),
        "start_time": column("StartTime"),
        "end_time": column("EndTime"),
        "start_location_id": column("StartCenterlineID"),
        "end_location_id": column("EndCenterlineID"),
        "duration_min": column("TripDuration"),
        "distance_km": column("TripDistance"),
    },
    timezone=_CHICAGO,
    duration_unit="s",
    distance_unit="m",
    vehicle_type="scooter",
    ids="no ids of riders or vehicles",
)

# data.calgary.ca, "Shared Mobility Pilot Trips" (jicz-mxiz): metres, seconds, starts to the hour.
_CALGARY: Final = TripFormat(
    name="calgary-dockless",
    title="Calgary shared mobility pilot trips",
    recognised_by=[("start_date", "start_hour", "trip_distance", "trip_duration", "startx")],
    fields={
        "vehicle_type": column("vehicle_type"),
        "start_time": DateAndTime(column("start_date"), column("start_hour")),
        "start_location_id": column("starting_grid_id"),
        "end_location_id": column("ending_grid_id"),
        "start_lat": column("starty"),
        "start_lng": column("startx"),
        "end_lat": column("endy"),
        "end_lng": column("endx"),
        "duration_min": column("trip_duration"),
        "distance_km": column("trip_distance"),
    },
    timezone="America/Edmonton",
    duration_unit="s",
    distance_unit="m",
    ids="no ids of riders or vehicles",
)

# data.cityofchicago.org, "E-Scooter Trips" (2kfw-zvte, 3rse-fbp6 and later): metres and seconds.
_CHICAGO_SCOOTER: Final = TripFormat(
    name="chicago-scooter",
    title="Chicago e-scooter trips",
    recognised_by=[("Trip ID", "Start Time", "Trip Distance", "Start Community Area Number")],
    fields={
        "trip_id": column("Trip ID"),
        "start_time": column("Start Time"),
        "end_time": column("End Time"),
        "start_location_id": column("Start Community Area Number"),
        "end_location_id": column("End Community Area Number"),
        "start_lat": column("Start Centroid Latitude"),
        "start_lng": column("Start Centroid Longitude"),
        "end_lat": column("End Centroid Latitude"),
        "end_lng": column("End Centroid Longitude"),
        "duration_min": column("Trip Duration"),
        "distance_km": column("Trip Distance"),
    },
    timezone=_CHICAGO,
    duration_unit="s",
    distance_unit="m",
    vehicle_type="scooter",
    ids="no ids of riders or vehicles",
)

# archive.ics.uci.edu, "Taxi Service Trajectory, ECML PKDD 2015": a position every 15 seconds. The
# distance is that along them.
_PORTO: Final = TripFormat(
    name="porto-taxi",
    title="Porto taxi trajectories (ECML/PKDD 2015)",
    recognised_by=[("TRIP_ID", "TAXI_ID", "TIMESTAMP", "POLYLINE")],
    fields={
        "trip_id": column("TRIP_ID"),
        "driver_id": column("TAXI_ID"),
        "passenger_id": column("ORIGIN_CALL"),
        "start_time": column("TIMESTAMP"),
        "start_location_id": column("ORIGIN_STAND"),
        "start_lat": column("POLYLINE", path="$[0][1]"),
        "start_lng": column("POLYLINE", path="$[0][0]"),
        "end_lat": column("POLYLINE", path="$[-1:][1]"),
        "end_lng": column("POLYLINE", path="$[-1:][0]"),
        "duration_min": Points(column("POLYLINE"), 15),
        "distance_km": Track(column("POLYLINE")),
    },
    timezone="Europe/Lisbon",
    duration_unit="s",
    vehicle_type="taxi",
    incomplete=column("MISSING_DATA"),
    ids="TAXI_ID is the driver, as the publisher says; ORIGIN_CALL is the calling passenger",
)


def _route_end(position: str, axis: int) -> Column:
    return column("route", path=f"$.features[{position}].geometry.coordinates[{axis}]")


# Others have columns of these names, in other units and with names of streets.
_JSON_OBJECT: Final = r"^\{"

_MDS_COST: Final = column("actual_cost", "standard_cost")

# github.com/openmobilityfoundation/mobility-data-specification: provider/trips until release 1.2.
# Times are epoch milliseconds (seconds in early feeds), costs in minor units of the currency.
_MDS_1: Final = TripFormat(
    name="mds-1",
    title="Mobility Data Specification trips, releases 0.4 to 1.2",
    recognised_by=[("trip_duration", "trip_distance", "start_time", "route")],
    values={"route": _JSON_OBJECT},
    fields={
        "trip_id": column("trip_id"),
        "vehicle_type": column("vehicle_type"),
        "start_time": column("start_time"),
        "end_time": column("end_time"),
        "start_lat": _route_end("0", 1),
        "start_lng": _route_end("0", 0),
        "end_lat": _route_end("-1:", 1),
        "end_lng": _route_end("-1:", 0),
        "duration_min": column("trip_duration"),
        "distance_km": column("trip_distance"),
        "price": _MDS_COST,
    },
    timezone="UTC",
    duration_unit="s",
    distance_unit="m",
    minor_currency_units=True,
    currency_code=column("currency"),
    ids="no ids of riders; device_id and vehicle_id are vehicles",
)

# The same, release 2.0: "Trips". `driver_id` is in trip_attributes of passenger services.
_MDS_2: Final = TripFormat(
    name="mds-2",
    title="Mobility Data Specification trips, release 2.0",
    recognised_by=[("duration", "distance", "start_time", "start_location")],
    values={"start_location": _JSON_OBJECT},
    fields={
        "trip_id": column("trip_id"),
        "driver_id": column("trip_attributes", path="$.driver_id"),
        "start_time": column("start_time"),
        "end_time": column("end_time"),
        "start_lat": column("start_location", path="$.lat"),
        "start_lng": column("start_location", path="$.lng"),
        "end_lat": column("end_location", path="$.lat"),
        "end_lng": column("end_location", path="$.lng"),
        "duration_min": column("duration"),
        "distance_km": column("distance"),
        "price": _MDS_COST,
    },
    timezone="UTC",
    duration_unit="s",
    distance_unit="m",
    minor_currency_units=True,
    currency_code=column("currency"),
    ids="driver_id of trip_attributes is the driver; device_id is a vehicle",
)

OWN: Final = TripFormat(
    name="mobility",
    title="trips as in trips_stream",
    recognised_by=[("start_time", "duration_min")],
    fields={name: column(name) for name in FIELDS},
    timezone="UTC",
    ids="as named",
    is_passed_on=True,
)
"""Our own record (README, "Your own trips")."""

FORMATS: Final = (
    OWN,
    _MDS_1,
    _MDS_2,
    _NYC_MEDALLIONS,
    _NYC_GREEN,
    _NYC_YELLOW,
    _NYC_HVFHV,
    _NYC_FHV,
    _CHICAGO_TNP,
    _CHICAGO_TAXI,
    _BIKESHARE,
    _DIVVY,
    _HEALTHY_RIDE,
    _PRONTO,
    _CITI_BIKE,
    _NICE_RIDE,
    _CAPITAL,
    _HUBWAY,
    _SANTANDER_CYCLES,
    _BAY_WHEELS,
    _INDEGO,
    _AUSTIN,
    _LOUISVILLE,
    _MINNEAPOLIS,
    _CALGARY,
    _CHICAGO_SCOOTER,
    _PORTO,
)
"""All known formats, in the order in which a file is compared with them."""
