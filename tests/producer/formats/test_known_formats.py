"""Each known format: a file in its real layout is recognised, and its first row is this trip."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from producer.formats.errors import TripsFileError
from producer.formats.known_formats import FORMATS
from producer.formats.options import ReadingOptions
from producer.formats.trip_reader import open_trip_files
from tests.producer.formats.reading import read, write_csv

KM_PER_MILE = 1.609344

YELLOW = (
    "VendorID,tpep_pickup_datetime,tpep_dropoff_datetime,passenger_count,trip_distance,RatecodeID,"
    "store_and_fwd_flag,PULocationID,DOLocationID,payment_type,fare_amount,extra,mta_tax,"
    "tip_amount,tolls_amount,improvement_surcharge,total_amount,congestion_surcharge,Airport_fee,"
    "cbd_congestion_fee"
)
YELLOW_ROW = (
    "1,2025-01-01 00:18:38,2025-01-01 00:26:59,1.0,1.6,1.0,N,229,237,1,10.0,3.5,0.5,3.0,0.0,1.0,"
    "18.0,2.5,0.0,0.0"
)


class Case(NamedTuple):
    """A header and a row of CSV, or a JSON object without a header, and the trip that they are."""

    header: str
    row: str
    trip: dict[str, Any]


CASES: dict[str, Case] = {
    "nyc-yellow": Case(
        YELLOW,
        YELLOW_ROW,
        {
            "vehicle_type": "yellow_taxi",
            "start_location_id": "229",
            "end_location_id": "237",
            "start_time": "2025-01-01T05:18:38Z",
            "end_time": "2025-01-01T05:26:59Z",
            "duration_min": 8.35,
            "distance_km": 1.6 * KM_PER_MILE,
            "price": 18.0,
        },
    ),
    "nyc-yellow of 2009": Case(
        "vendor_name,Trip_Pickup_DateTime,Trip_Dropoff_DateTime,Passenger_Count,Trip_Distance,"
        "Start_Lon,Start_Lat,Rate_Code,store_and_forward,End_Lon,End_Lat,Payment_Type,Fare_Amt,"
        "surcharge,mta_tax,Tip_Amt,Tolls_Amt,Total_Amt",
        "VTS,2009-01-04 02:52:00,2009-01-04 03:02:00,1,2.63,-73.991957,40.721567,,,-73.993803,"
        "40.695922,CASH,8.9,0.5,,0.0,0.0,9.4",
        {
            "vehicle_type": "yellow_taxi",
            "start_lat": 40.721567,
            "start_lng": -73.991957,
            "end_lat": 40.695922,
            "end_lng": -73.993803,
            "start_time": "2009-01-04T07:52:00Z",
            "end_time": "2009-01-04T08:02:00Z",
            "duration_min": 10.0,
            "distance_km": 2.63 * KM_PER_MILE,
            "price": 9.4,
        },
    ),
    "nyc-green": Case(
        "VendorID,lpep_pickup_datetime,lpep_dropoff_datetime,store_and_fwd_flag,RatecodeID,"
        "PULocationID,DOLocationID,passenger_count,trip_distance,fare_amount,extra,mta_tax,"
        "tip_amount,tolls_amount,ehail_fee,improvement_surcharge,total_amount,payment_type,"
        "trip_type,congestion_surcharge,cbd_congestion_fee",
        "2,2025-07-01 00:03:01,2025-07-01 00:17:12,N,1.0,75,235,1.0,5.93,24.7,1.0,0.5,6.8,0.0,,"
        "1.0,34.0,1.0,1.0,0.0,0.0",
        {
            "vehicle_type": "green_taxi",
            "start_location_id": "75",
            "end_location_id": "235",
            "start_time": "2025-07-01T04:03:01Z",
            "end_time": "2025-07-01T04:17:12Z",
            "duration_min": 851 / 60,
            "distance_km": 5.93 * KM_PER_MILE,
            "price": 34.0,
        },
    ),
    "nyc-hvfhv": Case(
        "hvfhs_license_num,dispatching_base_num,originating_base_num,request_datetime,"
        "on_scene_datetime,pickup_datetime,dropoff_datetime,PULocationID,DOLocationID,trip_miles,"
        "trip_time,base_passenger_fare,tolls,bcf,sales_tax,congestion_surcharge,airport_fee,tips,"
        "driver_pay,shared_request_flag,shared_match_flag,access_a_ride_flag,wav_request_flag,"
        "wav_match_flag,cbd_congestion_fee",
        "HV0003,B03404,B03404,2025-01-01 00:28:07,2025-01-01 00:31:17,2025-01-01 00:33:25,"
        "2025-01-01 00:54:24,148,211,1.32,1259,18.21,0.0,0.46,1.5,2.75,0.0,,15.71,N,N,N,N,N,0.0",
        {
            "vehicle_type": "ride_hail",
            "start_location_id": "148",
            "end_location_id": "211",
            "start_time": "2025-01-01T05:33:25Z",
            "end_time": "2025-01-01T05:54:24Z",
            "duration_min": 1259 / 60,
            "distance_km": 1.32 * KM_PER_MILE,
            "price": 22.92,
        },
    ),
    "nyc-fhv": Case(
        "dispatching_base_num,pickup_datetime,dropOff_datetime,PUlocationID,DOlocationID,SR_Flag,"
        "Affiliated_base_number",
        "B00009,2025-01-01 00:20:00,2025-01-01 00:57:00,148.0,,,B00009",
        {
            "vehicle_type": "ride_hail",
            "start_location_id": "148",
            "start_time": "2025-01-01T05:20:00Z",
            "end_time": "2025-01-01T05:57:00Z",
            "duration_min": 37.0,
        },
    ),
    "nyc-fhv of 2015": Case(
        "Dispatching_base_num,Pickup_date,locationID",
        "B00029,2015-07-01 00:02:00,237",
        {
            "vehicle_type": "ride_hail",
            "start_location_id": "237",
            "start_time": "2015-07-01T04:02:00Z",
        },
    ),
    "chicago-taxi": Case(
        "Trip ID,Taxi ID,Trip Start Timestamp,Trip End Timestamp,Trip Seconds,Trip Miles,"
        "Pickup Census Tract,Dropoff Census Tract,Pickup Community Area,Dropoff Community Area,"
        "Fare,Tips,Tolls,Extras,Trip Total,Payment Type,Company,Pickup Centroid Latitude,"
        "Pickup Centroid Longitude,Pickup Centroid Location,Dropoff Centroid Latitude,"
        "Dropoff Centroid Longitude,Dropoff Centroid  Location",
        "abc,taxi7,01/01/2023 12:15:00 AM,01/01/2023 12:30:00 AM,744,2.5,,,8,32,$10.25,2,0,1,"
        "$13.75,Cash,Flash Cab,41.899602111,-87.633308037,POINT (-87.6333080367 41.899602111),"
        "41.878865584,-87.625192142,POINT (-87.6251921424 41.8788655841)",
        {
            "trip_id": "abc",
            "vehicle_type": "taxi",
            "start_location_id": "8",
            "end_location_id": "32",
            "start_lat": 41.899602111,
            "start_lng": -87.633308037,
            "end_lat": 41.878865584,
            "end_lng": -87.625192142,
            "start_time": "2023-01-01T06:15:00Z",
            "end_time": "2023-01-01T06:30:00Z",
            "duration_min": 12.4,
            "distance_km": 2.5 * KM_PER_MILE,
            "price": 13.75,
        },
    ),
    "chicago-tnp": Case(
        "trip_id,trip_start_timestamp,trip_end_timestamp,trip_seconds,trip_miles,"
        "pickup_census_tract,dropoff_census_tract,pickup_community_area,dropoff_community_area,"
        "fare,tip,additional_charges,trip_total,shared_trip_authorized,trips_pooled,"
        "pickup_centroid_latitude,pickup_centroid_longitude,pickup_centroid_location,"
        "dropoff_centroid_latitude,dropoff_centroid_longitude,dropoff_centroid_location",
        "t1,2019-07-31T23:45:00.000,2019-08-01T00:00:00.000,1200,6.2,,,8,,15,0,2.55,17.55,false,1,"
        "41.9,-87.63,POINT (-87.63 41.9),,,",
        {
            "trip_id": "t1",
            "vehicle_type": "ride_hail",
            "start_location_id": "8",
            "start_lat": 41.9,
            "start_lng": -87.63,
            "start_time": "2019-08-01T04:45:00Z",
            "end_time": "2019-08-01T05:00:00Z",
            "duration_min": 20.0,
            "distance_km": 6.2 * KM_PER_MILE,
            "price": 17.55,
        },
    ),
    "bikeshare": Case(
        "ride_id,rideable_type,started_at,ended_at,start_station_name,start_station_id,"
        "end_station_name,end_station_id,start_lat,start_lng,end_lat,end_lng,member_casual",
        "89E7,classic_bike,2021-02-12 16:14:56,2021-02-12 16:21:43,Glenwood Ave & Touhy Ave,525,"
        "Sheridan Rd & Columbia Ave,660,42.012701,-87.666058,42.004583,-87.661406,member",
        {
            "trip_id": "89E7",
            "vehicle_type": "classic_bike",
            "start_location_id": "525",
            "end_location_id": "660",
            "start_lat": 42.012701,
            "start_lng": -87.666058,
            "end_lat": 42.004583,
            "end_lng": -87.661406,
            "start_time": "2021-02-12T22:14:56Z",
            "end_time": "2021-02-12T22:21:43Z",
            "duration_min": 407 / 60,
        },
    ),
    "bikeshare of San Francisco": Case(
        "ride_id,rideable_type,started_at,ended_at,start_station_name,start_station_id,"
        "end_station_name,end_station_id,start_lat,start_lng,end_lat,end_lng,member_casual",
        "B1,electric_bike,2024-01-31 23:59:30.123,2024-02-01 00:09:30.123,,,,,37.78,-122.41,37.76,"
        "-122.42,casual",
        {
            "trip_id": "B1",
            "vehicle_type": "electric_bike",
            "start_lat": 37.78,
            "start_lng": -122.41,
            "end_lat": 37.76,
            "end_lng": -122.42,
            "start_time": "2024-02-01T07:59:30Z",
            "end_time": "2024-02-01T08:09:30Z",
            "duration_min": 10.0,
        },
    ),
    "divvy": Case(
        "trip_id,start_time,end_time,bikeid,tripduration,from_station_id,from_station_name,"
        "to_station_id,to_station_name,usertype,gender,birthyear",
        '25223640,2019-10-01 00:01:39,2019-10-01 00:17:20,2215,"1,783.0",20,Sheffield Ave,309,'
        "Leavitt St,Subscriber,Male,1987",
        {
            "trip_id": "25223640",
            "vehicle_type": "bike",
            "start_location_id": "20",
            "end_location_id": "309",
            "start_time": "2019-10-01T05:01:39Z",
            "end_time": "2019-10-01T05:17:20Z",
            "duration_min": 1783 / 60,
        },
    ),
    "divvy of the second quarter of 2019": Case(
        '"01 - Rental Details Rental ID","01 - Rental Details Local Start Time",'
        '"01 - Rental Details Local End Time","01 - Rental Details Bike ID",'
        '"01 - Rental Details Duration In Seconds Uncapped","03 - Rental Start Station ID",'
        '"03 - Rental Start Station Name","02 - Rental End Station ID",'
        '"02 - Rental End Station Name","User Type","Member Gender",'
        '"05 - Member Details Member Birthday Year"',
        "22178529,2019-04-01 00:02:22,2019-04-01 00:09:48,6251,446.0,81,Daley Center Plaza,56,"
        "Desplaines St,Subscriber,Male,1975",
        {
            "trip_id": "22178529",
            "vehicle_type": "bike",
            "start_location_id": "81",
            "end_location_id": "56",
            "start_time": "2019-04-01T05:02:22Z",
            "end_time": "2019-04-01T05:09:48Z",
            "duration_min": 446 / 60,
        },
    ),
    "citibike": Case(
        "tripduration,starttime,stoptime,start station id,start station name,"
        "start station latitude,start station longitude,end station id,end station name,"
        "end station latitude,end station longitude,bikeid,usertype,birth year,gender",
        "600,3/1/2016 00:00:07,3/1/2016 00:10:07,72,W 52 St & 11 Ave,40.76727216,-73.99392888,79,"
        "Franklin St,40.71911552,-74.00666661,17827,Subscriber,1989,1",
        {
            "vehicle_type": "bike",
            "start_location_id": "72",
            "end_location_id": "79",
            "start_lat": 40.76727216,
            "start_lng": -73.99392888,
            "end_lat": 40.71911552,
            "end_lng": -74.00666661,
            "start_time": "2016-03-01T05:00:07Z",
            "end_time": "2016-03-01T05:10:07Z",
            "duration_min": 10.0,
        },
    ),
    "capital-bikeshare": Case(
        '"Duration","Start date","End date","Start station number","Start station",'
        '"End station number","End station","Bike number","Member type"',
        '"679","2018-07-01 00:00:05","2018-07-01 00:11:24","31302","Wisconsin Ave","31307",'
        '"3000 Connecticut Ave","W22771","Member"',
        {
            "vehicle_type": "bike",
            "start_location_id": "31302",
            "end_location_id": "31307",
            "start_time": "2018-07-01T04:00:05Z",
            "end_time": "2018-07-01T04:11:24Z",
            "duration_min": 679 / 60,
        },
    ),
    "capital-bikeshare of 2011": Case(
        "Duration (ms),Start date,End date,Start station number,Start station,End station number,"
        "End station,Bike number,Member Type",
        "1012223,7/1/2011 0:00,7/1/2011 0:16,31214,17th & Corcoran St NW,31104,Adams Mill,W00839,"
        "Registered",
        {
            "vehicle_type": "bike",
            "start_location_id": "31214",
            "end_location_id": "31104",
            "start_time": "2011-07-01T04:00:00Z",
            "end_time": "2011-07-01T04:16:00Z",
            "duration_min": 16.0,
        },
    ),
    "baywheels of 2014": Case(
        "Trip ID,Duration,Start Date,Start Station,Start Terminal,End Date,End Station,"
        "End Terminal,Bike #,Subscriber Type,Zip Code",
        "432946,406,8/31/2014 22:31,Mountain View Caltrain Station,28,8/31/2014 22:38,"
        "Castro Street,32,17,Subscriber,94040",
        {
            "trip_id": "432946",
            "vehicle_type": "bike",
            "start_location_id": "28",
            "end_location_id": "32",
            "start_time": "2014-09-01T05:31:00Z",
            "end_time": "2014-09-01T05:38:00Z",
            "duration_min": 406 / 60,
        },
    ),
    "baywheels": Case(
        "duration_sec,start_time,end_time,start_station_id,start_station_name,"
        "start_station_latitude,start_station_longitude,end_station_id,end_station_name,"
        "end_station_latitude,end_station_longitude,bike_id,user_type",
        '600,"2019-02-28 17:32:10.1450","2019-02-28 17:42:10.9750",21.0,Montgomery St,37.7896254,'
        "-122.400811,13.0,Commercial St,37.794231,-122.402923,4902,Customer",
        {
            "vehicle_type": "bike",
            "start_location_id": "21",
            "end_location_id": "13",
            "start_lat": 37.7896254,
            "start_lng": -122.400811,
            "end_lat": 37.794231,
            "end_lng": -122.402923,
            "start_time": "2019-03-01T01:32:10Z",
            "end_time": "2019-03-01T01:42:10Z",
            "duration_min": 10.0,
        },
    ),
    "austin-dockless": Case(
        "ID,Device ID,Vehicle Type,Trip Duration,Trip Distance,Start Time,End Time,Modified Date,"
        "Month,Hour,Day of Week,Council District (Start),Council District (End),Year,"
        "Census Tract Start,Census Tract End",
        "7f1f,283a,bicycle,1603,1250,12/08/2018 03:45:00 PM,12/08/2018 04:15:00 PM,"
        "04/17/2019 02:23:20 AM,12,15,6,9,9,2018,48453001100,48453000601",
        {
            "trip_id": "7f1f",
            "vehicle_type": "bicycle",
            "start_location_id": "48453001100",
            "end_location_id": "48453000601",
            "start_time": "2018-12-08T21:45:00Z",
            "end_time": "2018-12-08T22:15:00Z",
            "duration_min": 1603 / 60,
            "distance_km": 1.25,
        },
    ),
    "louisville-dockless": Case(
        "TripID,StartDate,StartTime,EndDate,EndTime,TripDuration,TripDistance,StartLatitude,"
        "StartLongitude,EndLatitude,EndLongitude,DayOfWeek,HourNum",
        "dd62,2/1/2020,8:15,2/1/2020,8:30,14,1.358,38.233,-85.741,38.245,-85.759,7,8",
        {
            "trip_id": "dd62",
            "start_lat": 38.233,
            "start_lng": -85.741,
            "end_lat": 38.245,
            "end_lng": -85.759,
            "start_time": "2020-02-01T13:15:00Z",
            "end_time": "2020-02-01T13:30:00Z",
            "duration_min": 14.0,
            "distance_km": 1.358 * KM_PER_MILE,
        },
    ),
    "nyc-medallions": Case(
        "medallion, hack_license, vendor_id, rate_code, store_and_fwd_flag, pickup_datetime, "
        "dropoff_datetime, passenger_count, trip_time_in_secs, trip_distance, pickup_longitude, "
        "pickup_latitude, dropoff_longitude, dropoff_latitude",
        "89D2,BA96,CMT,1,N,2013-01-01 15:11:48,2013-01-01 15:18:10,4,382,1.00,-73.978165,"
        "40.757977,-73.989838,40.751171",
        {
            "driver_id": "BA96",
            "vehicle_type": "yellow_taxi",
            "start_lat": 40.757977,
            "start_lng": -73.978165,
            "end_lat": 40.751171,
            "end_lng": -73.989838,
            "start_time": "2013-01-01T20:11:48Z",
            "end_time": "2013-01-01T20:18:10Z",
            "duration_min": 382 / 60,
            "distance_km": KM_PER_MILE,
        },
    ),
    "nyc-yellow with durations alone": Case(
        "id,vendor_id,pickup_datetime,dropoff_datetime,passenger_count,pickup_longitude,"
        "pickup_latitude,dropoff_longitude,dropoff_latitude,store_and_fwd_flag,trip_duration",
        "id2875421,2,2016-03-14 17:24:55,2016-03-14 17:32:30,1,-73.98,40.76,-73.96,40.77,N,455",
        {
            "vehicle_type": "yellow_taxi",
            "start_lat": 40.76,
            "start_lng": -73.98,
            "end_lat": 40.77,
            "end_lng": -73.96,
            "start_time": "2016-03-14T21:24:55Z",
            "end_time": "2016-03-14T21:32:30Z",
            "duration_min": 455 / 60,
        },
    ),
    "nyc-green of BigQuery": Case(
        "vendor_id,pickup_datetime,dropoff_datetime,store_and_fwd_flag,rate_code,passenger_count,"
        "trip_distance,fare_amount,extra,mta_tax,tip_amount,tolls_amount,ehail_fee,airport_fee,"
        "total_amount,payment_type,distance_between_service,time_between_service,trip_type,"
        "imp_surcharge,pickup_location_id,dropoff_location_id,data_file_year,data_file_month",
        "2,2018-05-01 00:13:56,2018-05-01 00:22:46,N,1,1,1.60,8.5,0.5,0.5,1.96,0,,,11.76,1,,,1,"
        "0.3,75,41,2018,5",
        {
            "vehicle_type": "green_taxi",
            "start_location_id": "75",
            "end_location_id": "41",
            "start_time": "2018-05-01T04:13:56Z",
            "end_time": "2018-05-01T04:22:46Z",
            "duration_min": 530 / 60,
            "distance_km": 1.6 * KM_PER_MILE,
            "price": 11.76,
        },
    ),
    "nyc-hvfhv of 2019": Case(
        "hvfhs_license_num,dispatching_base_num,pickup_datetime,dropoff_datetime,PULocationID,"
        "DOLocationID,SR_Flag",
        "HV0003,B02867,2019-02-01 00:05:18,2019-02-01 00:14:57,245,251,",
        {
            "vehicle_type": "ride_hail",
            "start_location_id": "245",
            "end_location_id": "251",
            "start_time": "2019-02-01T05:05:18Z",
            "end_time": "2019-02-01T05:14:57Z",
            "duration_min": 579 / 60,
        },
    ),
    "nyc-fhv of Azure": Case(
        "dispatchBaseNum,pickupDateTime,dropOffDateTime,puLocationId,doLocationId,srFlag",
        "B00009,2018-05-01 00:20:00,2018-05-01 00:57:00,148,7,",
        {
            "vehicle_type": "ride_hail",
            "start_location_id": "148",
            "end_location_id": "7",
            "start_time": "2018-05-01T04:20:00Z",
            "end_time": "2018-05-01T04:57:00Z",
            "duration_min": 37.0,
        },
    ),
    "bikeshare of Minneapolis": Case(
        "ride_id,rideable_type,started_at,ended_at,start_station_name,start_station_id,"
        "end_station_name,end_station_id,start_lat,start_lng,end_lat,end_lng,member_casual",
        "N1,classic_bike,2021-07-01 00:05:07,2021-07-01 00:15:07,100 Main,30000,,,44.98,-93.25,,,"
        "member",
        {
            "trip_id": "N1",
            "vehicle_type": "classic_bike",
            "start_location_id": "30000",
            "start_lat": 44.98,
            "start_lng": -93.25,
            "start_time": "2021-07-01T05:05:07Z",
            "end_time": "2021-07-01T05:15:07Z",
            "duration_min": 10.0,
        },
    ),
    "divvy with positions": Case(
        '"TRIP ID","START TIME","STOP TIME","BIKE ID","TRIP DURATION","FROM STATION ID",'
        '"FROM STATION NAME","TO STATION ID","TO STATION NAME","USER TYPE","GENDER","BIRTH YEAR",'
        '"FROM LATITUDE","FROM LONGITUDE","FROM LOCATION","TO LATITUDE","TO LONGITUDE",'
        '"TO LOCATION"',
        "8546790,12/31/2015 05:35:00 PM,12/31/2015 05:44:00 PM,979,521,117,Wilton,229,Southport,"
        "Subscriber,Female,1991,41.9324,-87.6529,POINT (-87.6529 41.9324),41.9394,-87.6635,"
        "POINT (-87.6635 41.9394)",
        {
            "trip_id": "8546790",
            "vehicle_type": "bike",
            "start_location_id": "117",
            "end_location_id": "229",
            "start_lat": 41.9324,
            "start_lng": -87.6529,
            "end_lat": 41.9394,
            "end_lng": -87.6635,
            "start_time": "2015-12-31T23:35:00Z",
            "end_time": "2015-12-31T23:44:00Z",
            "duration_min": 521 / 60,
        },
    ),
    "healthy-ride": Case(
        "Trip id,Starttime,Stoptime,Bikeid,Tripduration,From station id,From station name,"
        "To station id,To station name,Usertype",
        "10083066,7/1/2015 0:00,7/1/2015 0:03,70396,188,1036,Schenley,1036,Schenley,Customer",
        {
            "trip_id": "10083066",
            "vehicle_type": "bike",
            "start_location_id": "1036",
            "end_location_id": "1036",
            "start_time": "2015-07-01T04:00:00Z",
            "end_time": "2015-07-01T04:03:00Z",
            "duration_min": 188 / 60,
        },
    ),
    "pronto": Case(
        '"trip_id","starttime","stoptime","bikeid","tripduration","from_station_name",'
        '"to_station_name","from_station_id","to_station_id","usertype","gender","birthyear"',
        '431,"10/13/2014 10:31","10/13/2014 10:48","SEA00298",985.935,"2nd Ave & Spring St",'
        '"Occidental Park","CBD-06","PS-04","Member","Male",1960',
        {
            "trip_id": "431",
            "vehicle_type": "bike",
            "start_location_id": "CBD-06",
            "end_location_id": "PS-04",
            "start_time": "2014-10-13T17:31:00Z",
            "end_time": "2014-10-13T17:48:00Z",
            "duration_min": 985.935 / 60,
        },
    ),
    "nice-ride": Case(
        '"tripduration","start_time","end_time","start station id","start station name",'
        '"start station latitude","start station longitude","end station id","end station name",'
        '"end station latitude","end station longitude","bikeid","usertype","birth year","gender",'
        '"bike type"',
        '1373,"2018-04-24 16:03:04.2700","2018-04-24 16:25:57.6440",170,"Boom Island Park",'
        '44.992254,-93.270264,2,"100 Main Street SE",44.984892,-93.256551,2,"Customer",1969,0,'
        '"Classic"',
        {
            "vehicle_type": "bike",
            "start_location_id": "170",
            "end_location_id": "2",
            "start_lat": 44.992254,
            "start_lng": -93.270264,
            "end_lat": 44.984892,
            "end_lng": -93.256551,
            "start_time": "2018-04-24T21:03:04Z",
            "end_time": "2018-04-24T21:25:57Z",
            "duration_min": 1373 / 60,
        },
    ),
    "hubway": Case(
        '"Duration","Start date","End date","Start station number","Start station name",'
        '"End station number","End station name","Bike number","Member type","Zip code","Gender"',
        '"1012000","7/28/2011 10:12","7/28/2011 10:28","B32006","Colleges","B32012","Packard",'
        '"B00468","Member","97217","Male"',
        {
            "vehicle_type": "bike",
            "start_location_id": "B32006",
            "end_location_id": "B32012",
            "start_time": "2011-07-28T14:12:00Z",
            "end_time": "2011-07-28T14:28:00Z",
            "duration_min": 1012 / 60,
        },
    ),
    "santander-cycles": Case(
        '"Number","Start date","Start station number","Start station","End date",'
        '"End station number","End station","Bike number","Bike model","Total duration",'
        '"Total duration (ms)"',
        '"132825189","2023-07-31 23:59","001057","Bermondsey","2023-08-01 00:18","3490",'
        '"Hoxton","41181","CLASSIC","19m 1s","1141123"',
        {
            "trip_id": "132825189",
            "vehicle_type": "bike",
            "start_location_id": "001057",
            "end_location_id": "3490",
            "start_time": "2023-07-31T22:59:00Z",
            "end_time": "2023-07-31T23:18:00Z",
            "duration_min": 1141.123 / 60,
        },
    ),
    "baywheels with station ids": Case(
        "id,duration,start_date,start_station_name,start_station_id,end_date,end_station_name,"
        "end_station_id,bike_id,subscription_type,zip_code",
        "4576,63,8/29/2013 14:13,South Van Ness,66,8/29/2013 14:14,South Van Ness,66,520,"
        "Subscriber,94127",
        {
            "vehicle_type": "bike",
            "start_location_id": "66",
            "end_location_id": "66",
            "start_time": "2013-08-29T21:13:00Z",
            "end_time": "2013-08-29T21:14:00Z",
            "duration_min": 63 / 60,
        },
    ),
    "indego": Case(
        "trip_id,duration,start_time,end_time,start_station,start_lat,start_lon,end_station,"
        "end_lat,end_lon,bike_id,plan_duration,trip_route_category,passholder_type,bike_type",
        "373614767,7,4/1/2021 0:44,4/1/2021 0:51,3213,39.938869,-75.166634,3000,,,18928,30,"
        "One Way,Indego30,electric",
        {
            "trip_id": "373614767",
            "vehicle_type": "bike",
            "start_location_id": "3213",
            "end_location_id": "3000",
            "start_lat": 39.938869,
            "start_lng": -75.166634,
            "start_time": "2021-04-01T04:44:00Z",
            "end_time": "2021-04-01T04:51:00Z",
            "duration_min": 7.0,
        },
    ),
    "indego of Los Angeles, with seconds": Case(
        "trip_id,duration,start_time,end_time,start_station_id,start_lat,start_lon,end_station_id,"
        "end_lat,end_lon,bike_id,plan_duration,trip_route_category,passholder_type",
        "1912818,180,7/7/2016 4:17,7/7/2016 4:20,3014,34.0566101,-118.23721,3014,34.0566101,"
        "-118.23721,6281,30,Round Trip,Monthly Pass",
        {
            "trip_id": "1912818",
            "vehicle_type": "bike",
            "start_location_id": "3014",
            "end_location_id": "3014",
            "start_lat": 34.0566101,
            "start_lng": -118.23721,
            "end_lat": 34.0566101,
            "end_lng": -118.23721,
            "start_time": "2016-07-07T11:17:00Z",
            "end_time": "2016-07-07T11:20:00Z",
            "duration_min": 3.0,
        },
    ),
    "austin-dockless with positions": Case(
        "ID,Device ID,Vehicle Type,Trip Duration,Trip Distance,Start Time,End Time,Start Latitude,"
        "Start Longitude,End Latitude,End Longitude",
        "7f1f,283a,scooter,603,1250,12/08/2018 03:45:00 PM,12/08/2018 04:00:00 PM,30.27,-97.74,"
        "30.26,-97.75",
        {
            "trip_id": "7f1f",
            "vehicle_type": "scooter",
            "start_lat": 30.27,
            "start_lng": -97.74,
            "end_lat": 30.26,
            "end_lng": -97.75,
            "start_time": "2018-12-08T21:45:00Z",
            "end_time": "2018-12-08T22:00:00Z",
            "duration_min": 10.05,
            "distance_km": 1.25,
        },
    ),
    "louisville-dockless of Kansas City": Case(
        "Trip ID,Start Date,Start Time,End Date,End Time,Trip Duration,Trip Distance,"
        "Start Latitude,Start Longitude,End Latitude,End Longitude,Day of Week,Hour Num",
        "k1,07/01/2019,00:15,07/01/2019,00:30,14,1.358,39.093,-94.581,39.1,-94.6,2,0",
        {
            "trip_id": "k1",
            "start_lat": 39.093,
            "start_lng": -94.581,
            "end_lat": 39.1,
            "end_lng": -94.6,
            "start_time": "2019-07-01T05:15:00Z",
            "end_time": "2019-07-01T05:30:00Z",
            "duration_min": 14.0,
            "distance_km": 1.358 * KM_PER_MILE,
        },
    ),
    "minneapolis-scooter": Case(
        "ObjectId,TripID,TripDuration,TripDistance,StartTime,EndTime,StartCenterlineID,"
        "StartCenterlineType,EndCenterlineID,EndCenterlineType",
        "1,8,447,1230,2021/05/01 05:00:00+00,2021/05/01 05:30:00+00,13739.0,street,14183.0,street",
        {
            "trip_id": "8",
            "vehicle_type": "scooter",
            "start_location_id": "13739",
            "end_location_id": "14183",
            "start_time": "2021-05-01T05:00:00Z",
            "end_time": "2021-05-01T05:30:00Z",
            "duration_min": 7.45,
            "distance_km": 1.23,
        },
    ),
    "calgary-dockless": Case(
        "vehicle_type,start_date,start_hour,start_day_of_week,trip_distance,trip_duration,"
        "starting_grid_id,ending_grid_id,startx,starty,endx,endy",
        "scooter,2019/07/15,9,Monday,963,376,G-126,G-125,-114.06,51.04,-114.07,51.05",
        {
            "vehicle_type": "scooter",
            "start_location_id": "G-126",
            "end_location_id": "G-125",
            "start_lat": 51.04,
            "start_lng": -114.06,
            "end_lat": 51.05,
            "end_lng": -114.07,
            "start_time": "2019-07-15T15:00:00Z",
            "duration_min": 376 / 60,
            "distance_km": 0.963,
        },
    ),
    "chicago-scooter": Case(
        "Trip ID,Start Time,End Time,Trip Distance,Trip Duration,Vendor,"
        "Start Community Area Number,End Community Area Number,Start Community Area Name,"
        "End Community Area Name,Start Centroid Latitude,Start Centroid Longitude,"
        "Start Centroid Location,End Centroid Latitude,End Centroid Longitude,"
        "End Centroid Location",
        "s1,09/12/2020 06:00:00 AM,09/12/2020 06:00:00 AM,3793,1152,Bird,15,,PORTAGE PARK,,41.95,"
        "-87.76,POINT (-87.76 41.95),,,",
        {
            "trip_id": "s1",
            "vehicle_type": "scooter",
            "start_location_id": "15",
            "start_lat": 41.95,
            "start_lng": -87.76,
            "start_time": "2020-09-12T11:00:00Z",
            "end_time": "2020-09-12T11:00:00Z",
            "duration_min": 19.2,
            "distance_km": 3.793,
        },
    ),
    "porto-taxi": Case(
        '"TRIP_ID","CALL_TYPE","ORIGIN_CALL","ORIGIN_STAND","TAXI_ID","TIMESTAMP","DAY_TYPE",'
        '"MISSING_DATA","POLYLINE"',
        '"T1","A","2002","NA","20000542","1408039037","A","False",'
        '"[[-8.585676,41.148522],[-8.585712,41.148639],[-8.585685,41.148855]]"',
        {
            "trip_id": "T1",
            "driver_id": "20000542",
            "passenger_id": "2002",
            "vehicle_type": "taxi",
            "start_lat": 41.148522,
            "start_lng": -8.585676,
            "end_lat": 41.148855,
            "end_lng": -8.585685,
            "start_time": "2014-08-14T17:57:17Z",
            "duration_min": 0.5,
            "distance_km": 0.037479,
        },
    ),
    "mobility": Case(
        "trip_id,driver_id,vehicle_type,start_time,duration_min,distance_km,price,weather",
        "a,d1,car,1735732800000,8.5,2.25,7.1,rain",
        {
            "trip_id": "a",
            "driver_id": "d1",
            "vehicle_type": "car",
            "start_time": "2025-01-01T12:00:00Z",
            "duration_min": 8.5,
            "distance_km": 2.25,
            "price": 7.1,
            "weather": "rain",
        },
    ),
}

MDS: dict[str, Case] = {
    "mds-1": Case(
        "",
        '{"provider_id":"p","device_id":"v","vehicle_type":"scooter","trip_id":"t",'
        '"trip_duration":600,"trip_distance":1500,"start_time":1563178809000,'
        '"end_time":1563179409000.55,"actual_cost":250,"route":{"type":"FeatureCollection",'
        '"features":[{"type":"Feature","geometry":{"type":"Point","coordinates":[-86.77,36.16]}},'
        '{"type":"Feature","geometry":{"type":"Point","coordinates":[-86.78,36.17]}}]}}',
        {
            "trip_id": "t",
            "vehicle_type": "scooter",
            "start_lat": 36.16,
            "start_lng": -86.77,
            "end_lat": 36.17,
            "end_lng": -86.78,
            "start_time": "2019-07-15T08:20:09Z",
            "end_time": "2019-07-15T08:30:09Z",
            "duration_min": 10.0,
            "distance_km": 1.5,
            "price": 2.5,
        },
    ),
    "mds-2": Case(
        "",
        '{"provider_id":"p","device_id":"v","trip_id":"t","start_time":1563178809,'
        '"end_time":1563179409,"start_location":{"lat":36.16,"lng":-86.77},'
        '"end_location":{"lat":36.17,"lng":-86.78},"duration":600,"distance":1500,'
        '"standard_cost":250,"trip_attributes":{"driver_id":"d"}}',
        {
            "trip_id": "t",
            "driver_id": "d",
            "start_lat": 36.16,
            "start_lng": -86.77,
            "end_lat": 36.17,
            "end_lng": -86.78,
            "start_time": "2019-07-15T08:20:09Z",
            "end_time": "2019-07-15T08:30:09Z",
            "duration_min": 10.0,
            "distance_km": 1.5,
            "price": 2.5,
        },
    ),
}


def name_of(case: str) -> str:
    """Return the name of the format of a case."""
    return case.split(maxsplit=1)[0]


@pytest.mark.parametrize("case", CASES)
def test_a_row_of_a_known_format(tmp_path: Path, case: str) -> None:
    """Columns, units and local times become those of a trip; what is lacking stays null."""
    header, row, trip = CASES[case]
    found = read(write_csv(tmp_path / "trips.csv", header, row))
    assert f": {name_of(case)} (" in found.lines[0]
    assert found.first() == pytest.approx(trip)
    assert found.report.summary() == "1 rows read = 1 trips + 0 left out"


@pytest.mark.parametrize("case", MDS)
@pytest.mark.parametrize(
    "page", ["{}", "[{}]", '{{"version":"1.2.0","data":{{"trips":[{}]}}}}', '{{"trips": [\n{}\n]}}']
)
def test_a_trip_of_the_mobility_data_specification(tmp_path: Path, case: str, page: str) -> None:
    """One object per line, an array, and pages of the API are the same trips."""
    _, text, trip = MDS[case]
    path = tmp_path / "trips.json"
    path.write_text(page.format(text))
    found = read(path)
    assert f": {case} (" in found.lines[0]
    assert found.first() == pytest.approx(trip)


@pytest.mark.parametrize("case", MDS)
def test_costs_are_in_minor_units_of_their_currency(tmp_path: Path, case: str) -> None:
    """A yen has none, a dinar has 1,000; without a currency they are cents."""
    _, text, _ = MDS[case]
    found = (f'{text[:-1]},"currency":{code}}}' for code in ('"USD"', '"JPY"', '"kwd"', "null"))
    path = tmp_path / "trips.ndjson"
    path.write_text("\n".join(found))
    assert read(path).trips["price"].to_list() == [2.5, 250.0, 0.25, 2.5]


@pytest.mark.parametrize(
    "names", ["trip_duration,trip_distance,route", "duration,distance,start_location"]
)
def test_plain_columns_with_names_of_the_specification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: str
) -> None:
    """Nothing says that 12 and 3.4 are seconds and metres, unless places are objects as there."""
    monkeypatch.chdir(tmp_path)
    path = write_csv(tmp_path / "a.csv", f"start_time,{names}", "2025-01-06 08:00,12,3.4,Main St")
    with pytest.raises(TripsFileError, match="no known format has these columns"):
        read(path)


def test_each_known_format_has_a_case() -> None:
    """A new row of the table comes with its test."""
    assert {name_of(case) for case in (*CASES, *MDS)} == {each.name for each in FORMATS}


@pytest.mark.parametrize(
    ("case", "lacking"),
    [
        ("nyc-yellow", []),
        ("nyc-fhv", ["distance", "price"]),
        ("bikeshare", ["distance", "price"]),
        ("divvy", ["distance", "price"]),
        ("citibike", ["distance", "price"]),
        ("capital-bikeshare", ["distance", "price"]),
        ("baywheels", ["distance", "price"]),
        ("austin-dockless", ["price"]),
        ("louisville-dockless", ["price"]),
        ("nyc-hvfhv of 2019", ["distance", "price"]),
        ("calgary-dockless", ["price"]),
        ("chicago-scooter", ["price"]),
        ("porto-taxi", ["price"]),
    ],
)
def test_trips_without_amounts_are_trips(tmp_path: Path, case: str, lacking: list[str]) -> None:
    """No price of 0 and no distance as the crow flies is made up; people are told."""
    header, row, _ = CASES[case]
    path = write_csv(tmp_path / "trips.csv", header, row, row)
    with open_trip_files([path], ReadingOptions()) as reader:
        reader.check_amounts()
    found = read(path)
    assert [name for name in ("distance", "price") if f"no {name}" in found.lines[0]] == lacking
    told = "; ".join(f"without a {name}: 2" for name in lacking)
    expected = ["2 rows read = 2 trips + 0 left out", *([f"trips {told}"] if told else [])]
    assert list(found.report.totals()) == expected


def test_trips_without_durations_are_refused_by_name(tmp_path: Path) -> None:
    """Of the first years of for-hire vehicles, only the start is known."""
    path = write_csv(tmp_path / "trips.csv", *CASES["nyc-fhv of 2015"][:2])
    expected = "recognised as nyc-fhv .*, which has neither durations nor ends of trips"
    with (
        open_trip_files([path], ReadingOptions()) as reader,
        pytest.raises(TripsFileError, match=expected),
    ):
        reader.check_amounts()


@pytest.mark.parametrize("station", ["A1", "12-CBD"])
def test_stations_of_no_known_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, station: str
) -> None:
    """Others have the columns of Divvy: their times are of another zone, so they are not taken."""
    monkeypatch.chdir(tmp_path)
    header, row, _ = CASES["divvy"]
    path = write_csv(tmp_path / "trips.csv", header, row.replace(",20,", f",{station},"))
    with pytest.raises(TripsFileError, match="no known format has these columns"):
        read(path)


def test_trips_of_porto_that_lack_data(tmp_path: Path) -> None:
    """Those that the publisher marks, and those without a position, are left out."""
    header, row, _ = CASES["porto-taxi"]
    polyline = row[row.index('"[') :]
    rows = [row, row.replace('"False"', '"True"')]
    rows += [row.replace(polyline, text) for text in ('"[]"', '"[[-8.5,41.1],[-8.5,]]"')]
    one = row.replace(polyline, '"[[-8.5,41.1]]"')
    found = read(write_csv(tmp_path / "trips.csv", header, *rows, one))
    assert dict(found.report.left_out) == {
        "MISSING_DATA is true": 1,
        "no duration_min": 1,
        "distance_km can't be read": 1,
    }
    assert found.trips["duration_min"].to_list() == [0.5, 0.0]
    assert found.trips["distance_km"][1] == 0


def test_the_cost_of_a_trip_may_come_late(tmp_path: Path) -> None:
    """A provider that has none may stand before others in a file."""
    _, text, _ = MDS["mds-1"]
    free = text.replace('"actual_cost":250,', "")
    standard = text.replace("actual_cost", "standard_cost").replace("250", "175")
    path = tmp_path / "trips.ndjson"
    path.write_text("\n".join([free] * 10_000 + [text, standard]))
    found = read(path)
    assert found.trips["price"].drop_nulls().to_list() == [2.5, 1.75]
    assert list(found.report.totals())[1:] == ["trips without a price: 10,000"]
